// Plays a video in a real browser and seeks in it before it is loaded:
//
//     node seek.mjs <access token> <address to upload to> <name=address to play from>…
//
// Prints one line of JSON: the file's size and length, and what was seen over a slow line from each
// address. The picture itself tells its time, so a seek is checked by what is shown.
import process from 'node:process';

import { fail, launch } from './browser.mjs';
import { relay } from './relay.mjs';
import { webm } from './webm.mjs';

const FORM = { width: 640, height: 360, framesEach: 12, frameMs: 250 };
const PICTURES = 40;
const PICTURE_SECONDS = (FORM.framesEach * FORM.frameMs) / 1000;
const SECONDS = PICTURES * PICTURE_SECONDS;
const LINE_BYTES_PER_SECOND = 4_000_000;
const SEEKS = [SECONDS / 2, SECONDS - PICTURE_SECONDS];

const SEEK_PATIENCE_MS = 20_000;
// Where nothing is seekable there is nothing to wait for; it shows that the picture doesn't change.
const VAIN_SEEK_PATIENCE_MS = 2_000;
const WHOLE_PATIENCE_MS = 110_000;

const [token, uploadAddress, ...sources] = process.argv.slice(2);
setTimeout(() => fail('The browser hangs'), WHOLE_PATIENCE_MS).unref();

const { onPage, close } = await launch();
try {
  const pictures = await onPage((page) => page.evaluate(draw, { ...FORM, count: PICTURES }));
  const video = webm(pictures.map((picture) => Buffer.from(picture, 'base64')), FORM);
  const path = await upload(video);
  const seen = {};
  for (const [name, address] of sources.map((source) => source.split('='))) {
    seen[name] = await watch(address, path);
  }
  console.log(JSON.stringify({ bytes: video.length, seconds: SECONDS, seen }));
} finally {
  await close();
}

async function upload(video) {
  const response = await fetch(`http://${uploadAddress}/_matrix/media/v3/upload`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'video/webm' },
    body: video,
  });
  const { content_uri: uri } = await response.json();
  return `/_matrix/client/v1/media/download/${uri.slice('mxc://'.length)}?access_token=${token}`;
}

// Plays over a slow line and seeks; tells what was seen, and how many bytes had come by then.
async function watch(address, path) {
  const line = await relay(address, LINE_BYTES_PER_SECOND);
  try {
    return await onPage(async (page) => {
      const started = await page.evaluate(start, `http://${line.address}${path}`);
      const seen = { ...started, movedBytes: line.movedBytes(), seeks: [] };
      for (const target of SEEKS) {
        const isSeekable = target <= started.seekableUntil;
        const patienceMs = isSeekable ? SEEK_PATIENCE_MS : VAIN_SEEK_PATIENCE_MS;
        const sought = await page.evaluate(seek, { target, patienceMs, pictureSeconds: PICTURE_SECONDS });
        seen.seeks.push({ target, ...sought, movedBytes: line.movedBytes() });
      }
      return seen;
    });
  } finally {
    line.close();
  }
}

// What follows runs in the browser.

// Noise, which makes large files, and eight blocks: the picture's number in binary, light for 1.
async function draw({ width, height, count }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { alpha: false });
  const noise = context.createImageData(width, height);
  let state = 1;
  for (let at = 0; at < noise.data.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    noise.data[at] = state >>> 24;
  }
  const pictures = [];
  for (let number = 0; number < count; number++) {
    context.putImageData(noise, 0, 0);
    for (let bit = 0; bit < 8; bit++) {
      context.fillStyle = (number >> bit) & 1 ? 'white' : 'black';
      context.fillRect((bit * width) / 8, 0, width / 8, height / 2);
    }
    const picture = canvas.toDataURL('image/webp', 0.5);
    pictures.push(picture.slice(picture.indexOf(',') + 1));
  }
  return pictures;
}

// Plays until the first second is over.
async function start(url) {
  const began = performance.now();
  const video = document.createElement('video');
  // Without this the page may show the picture, but not look at it.
  video.crossOrigin = 'anonymous';
  video.muted = true;
  video.src = url;
  document.body.append(video);
  await video.play();
  while (video.currentTime < 1) await new Promise(requestAnimationFrame);
  const seekableUntil = video.seekable.length > 0 ? video.seekable.end(0) : 0;
  return { tookMs: Math.round(performance.now() - began), duration: video.duration, seekableUntil };
}

// Seeks, and waits until the picture of that time shows; `shown` is the time of the one that does.
async function seek({ target, patienceMs, pictureSeconds }) {
  const video = document.querySelector('video');
  const canvas = Object.assign(document.createElement('canvas'), { width: 8, height: 2 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const shown = () => {
    context.drawImage(video, 0, 0, 8, 2);
    const { data } = context.getImageData(0, 0, 8, 1);
    const bits = Array.from({ length: 8 }, (_, bit) => (data[bit * 4] > 127) << bit);
    return bits.reduce((number, bit) => number | bit) * pictureSeconds;
  };
  const began = performance.now();
  const elapsed = () => Math.round(performance.now() - began);
  video.currentTime = target;
  while (video.seeking || shown() !== target) {
    if (elapsed() > patienceMs) break;
    await new Promise(requestAnimationFrame);
  }
  return { tookMs: elapsed(), time: video.currentTime, shown: shown() };
}
