// Plays a video in a real browser through an edge that has never seen it, and seeks in it:
//
//     node seek_cold.mjs <address of the edge> <port of its homeserver> <parts|whole> <pictures>
//
// Each picture takes 0.67 MB. The homeserver is here: it sends parts, or only the whole, over a line of 20 Mbit/s whose ends are 75 ms
// apart. Prints one line of JSON: the file's size, how far it is playable, what was seen after each seek, and
// how many bytes the homeserver had sent by then and half a minute later; then, of a homeserver that sends
// parts, after how long the first byte of a far part of another video came, and how many questions that took.
import http from 'node:http';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { fail, launch } from './browser.mjs';
import { PICTURE_SECONDS, film, seek, start } from './film.mjs';

const LINE_BYTES_PER_SECOND = 2_500_000;
const ROUND_TRIP_MS = 150;
const BLOCK_BYTES = 32 << 10;
const SEEK_PATIENCE_MS = 60_000;
const AFTERWARDS_MS = 30_000;
const WHOLE_PATIENCE_MS = 220_000;

const [edge, port, sends, pictures] = process.argv.slice(2);
const SECONDS = Number(pictures) * PICTURE_SECONDS;
const SEEKS = [SECONDS / 2, SECONDS / 4, (SECONDS * 3) / 4].map((at) => at - (at % PICTURE_SECONDS));
setTimeout(() => fail('The browser hangs'), WHOLE_PATIENCE_MS).unref();

const seen = { sentBytes: 0, questions: 0 };
let video;
let lineIsFreeAt = 0;
const { onPage, close } = await launch();
const homeserver = http.createServer(answer).listen(Number(port), '127.0.0.1');
try {
  video = await onPage((page) => film(page, Number(pictures)));
  const played = await onPage(play);
  const firstByte = sends === 'parts' ? await askForFarPart() : undefined;
  console.log(JSON.stringify({ bytes: video.length, seconds: SECONDS, ...played, firstByte }));
} finally {
  await close();
  homeserver.closeAllConnections();
  homeserver.close();
}

function url(id) {
  return `http://${edge}/_matrix/client/v1/media/download/example.com/${id}?access_token=syt_reader`;
}

async function play(page) {
  const started = await page.evaluate(start, url('film'));
  const seeks = [];
  for (const target of SEEKS) {
    const wanted = { target, patienceMs: SEEK_PATIENCE_MS, pictureSeconds: PICTURE_SECONDS };
    seeks.push({ target, ...(await page.evaluate(seek, wanted)), sentBytes: seen.sentBytes });
  }
  await sleep(AFTERWARDS_MS);
  return { ...started, seeks, sentBytes: seen.sentBytes };
}

async function askForFarPart() {
  await sleep(1_000);
  const before = seen.questions;
  const began = performance.now();
  const first = Math.floor(video.length * 0.9);
  const headers = { range: `bytes=${first}-${first + 999}` };
  const response = await fetch(url('another'), { headers });
  const { value } = await response.body.getReader().read();
  return {
    status: response.status,
    afterMs: Math.round(performance.now() - began),
    isRight: value[0] === video[first],
    questions: seen.questions - before,
  };
}

async function answer(request, response) {
  seen.questions += 1;
  await sleep(ROUND_TRIP_MS);
  const headers = { 'content-type': 'video/webm', 'content-disposition': 'inline', etag: '"film"' };
  if (request.headers['if-none-match'] === headers.etag) return response.writeHead(304, headers).end();
  const [, from, to] = (sends === 'parts' && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range)) || [];
  const first = Number(from ?? 0);
  const last = to ? Number(to) : video.length - 1;
  if (from !== undefined) headers['content-range'] = `bytes ${first}-${last}/${video.length}`;
  response.writeHead(from === undefined ? 200 : 206, { ...headers, 'content-length': last + 1 - first });
  for (let at = first; at <= last && !response.destroyed; at += BLOCK_BYTES) {
    const block = video.subarray(at, Math.min(at + BLOCK_BYTES, last + 1));
    await lineFor(block.length);
    if (response.destroyed) return;
    seen.sentBytes += block.length;
    if (!response.write(block)) await drained(response);
  }
  response.end();
}

// All connections share the line.
async function lineFor(bytes) {
  const now = performance.now();
  lineIsFreeAt = Math.max(lineIsFreeAt, now) + (bytes / LINE_BYTES_PER_SECOND) * 1000;
  await sleep(lineIsFreeAt - now);
}

function drained(response) {
  return new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
}
