// Uploads from a page of a real browser, through an edge that reaches its homeserver over a slow line:
//
//     node upload.mjs <access token> <edge's address> <homeserver's address> <port of the line>
//
// Prints one line of JSON: the file's size, the answer, and for each event of the upload how many
// bytes the browser had sent by its own account, how many had come through the line, and when.
import process from 'node:process';

import { fail, launch } from './browser.mjs';
import { relay } from './relay.mjs';

// Nearly as much as a request may have.
const BYTES = 95_000_000;
const LINE_BYTES_PER_SECOND = 12_000_000;
const WHOLE_PATIENCE_MS = 60_000;

const [token, edge, homeserver, port] = process.argv.slice(2);
setTimeout(() => fail('The browser hangs'), WHOLE_PATIENCE_MS).unref();

const line = await relay(homeserver, LINE_BYTES_PER_SECOND, { slowTowards: 'origin', port: Number(port) });
const { onPage, close } = await launch();
try {
  const url = `http://${edge}/_matrix/media/v3/upload`;
  const seen = await onPage(async (page) => {
    await page.exposeFunction('movedBytes', () => line.movedBytes());
    return page.evaluate(upload, { url, token, bytes: BYTES });
  });
  console.log(JSON.stringify({ bytes: BYTES, ...seen }));
} finally {
  await close();
  line.close();
}

// What follows runs in the browser.

async function upload({ url, token, bytes }) {
  const request = new XMLHttpRequest();
  request.open('POST', url);
  request.setRequestHeader('Authorization', `Bearer ${token}`);
  const began = performance.now();
  const events = [];
  const note = ({ type, loaded }) => {
    const atMs = Math.round(performance.now() - began);
    events.push(movedBytes().then((movedBytes) => ({ type, loaded, movedBytes, atMs })));
  };
  for (const type of ['loadstart', 'progress', 'load', 'error', 'abort', 'timeout', 'loadend']) {
    request.upload.addEventListener(type, note);
  }
  const ended = new Promise((resolve) => request.addEventListener('loadend', resolve));
  request.send(new Blob([new Uint8Array(bytes)], { type: 'video/mp4' }));
  await ended;
  const tookMs = Math.round(performance.now() - began);
  return { status: request.status, answer: request.responseText, tookMs, events: await Promise.all(events) };
}
