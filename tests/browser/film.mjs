// A video that tells its time by its picture, and a page's player of it.
import { Buffer } from 'node:buffer';

import { webm } from './webm.mjs';

const FORM = { width: 640, height: 360, framesEach: 12, frameMs: 250 };

// How long each picture is shown.
export const PICTURE_SECONDS = (FORM.framesEach * FORM.frameMs) / 1000;

// Returns a video of so many pictures, drawn by this page: some 0.5 MB each.
export async function film(page, count) {
  const pictures = await page.evaluate(draw, { ...FORM, count });
  return webm(pictures.map((picture) => Buffer.from(picture, 'base64')), FORM);
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
export async function start(url) {
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
export async function seek({ target, patienceMs, pictureSeconds }) {
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
