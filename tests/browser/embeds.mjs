// What pages of another site can do with media, and what media can do as a page of its own:
//
//     node embeds.mjs <JSON: { homeserver, edge, token, pictures, documents, scripts }>
//
// Videos and audio are uploaded to `homeserver` and played from `edge`. `pictures` has URLs by name,
// `documents` and `scripts` have `{ url, type, body }`. Prints one line of JSON: `pages`, what shows in
// pages of each embedder policy; `audio`, what came of seeking at either address; `documents` and
// `scripts`, whether each ran from its URL, twice, and from the page's own site.
import process from 'node:process';

import { fail, launch } from './browser.mjs';
import { BYTES_PER_SECOND, wav } from './wav.mjs';
import { webm } from './webm.mjs';

const WHOLE_PATIENCE_MS = 110_000;
const FORM = { width: 320, height: 180, framesEach: 2, frameMs: 250 };
const AUDIO_SECONDS = 45;
const SEEK_SECONDS = 40;
const POLICIES = ['unsafe-none', 'require-corp', 'credentialless'];

const { homeserver, edge, token, pictures, documents, scripts } = JSON.parse(process.argv[2]);
setTimeout(() => fail('The browser hangs'), WHOLE_PATIENCE_MS).unref();

const own = Object.entries({ ...documents, ...scripts });
const { onPage, close } = await launch([], {
  ...Object.fromEntries(POLICIES.map((policy) => [`/${policy}`, { headers: isolation(policy) }])),
  ...Object.fromEntries(own.map(([name, { type, body }]) => [pathOf(name), { headers: { 'Content-Type': type }, body }])),
});
try {
  const pictureOf = await onPage((page) => page.evaluate(draw, FORM));
  const video = await upload('video/webm', webm([Buffer.from(pictureOf, 'base64')], FORM));
  const audio = await upload('audio/wav', wav(AUDIO_SECONDS));
  const told = { pages: {}, audio: {}, documents: {}, scripts: {} };
  const media = { video: at(edge, video), audio: at(edge, audio) };
  for (const policy of POLICIES) {
    told.pages[policy] = await onPage((page) => page.evaluate(embed, { pictures, media }), { path: `/${policy}` });
  }
  for (const [name, address] of Object.entries({ edge, alone: homeserver })) {
    told.audio[name] = await onPage((page) => listen(page, at(address, audio)));
  }
  for (const [name, { url }] of Object.entries(documents)) {
    told.documents[name] = await everywhere(name, url, open);
  }
  for (const [name, { url }] of Object.entries(scripts)) {
    told.scripts[name] = await everywhere(name, url, (page, src) => page.evaluate(runScript, src));
  }
  console.log(JSON.stringify(told));
} finally {
  await close();
}

// With these a page is isolated from all others, unless the policy is none.
function isolation(policy) {
  return { 'Cross-Origin-Embedder-Policy': policy, 'Cross-Origin-Opener-Policy': 'same-origin' };
}

function pathOf(name) {
  return `/own/${encodeURIComponent(name)}`;
}

async function upload(type, body) {
  const response = await fetch(`http://${homeserver}/_matrix/media/v3/upload`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': type },
    body,
  });
  const { content_uri: uri } = await response.json();
  return `/_matrix/client/v1/media/download/${uri.slice('mxc://'.length)}?access_token=${token}`;
}

function at(address, path) {
  return `http://${address}${path}`;
}

// From its URL twice, which the edge has stored by then, and from our own site.
async function everywhere(name, url, action) {
  const first = await onPage((page) => action(page, url));
  const again = await onPage((page) => action(page, url));
  const own = await onPage((page) => action(page, new URL(pathOf(name), page.url()).href));
  return { first, again, own };
}

// Opens a document in a tab. What of it ran has left its mark.
async function open(page, url) {
  await page.goto(url);
  return page.evaluate(() => ({
    ran: document.documentElement.getAttribute('data-ran'),
    type: document.contentType,
    text: document.documentElement.textContent.trim(),
  }));
}

// Loads no more than it must, then seeks far ahead and plays on; tells which parts were asked for.
async function listen(page, url) {
  const parts = [];
  page.on('response', (response) => {
    if (response.url() !== url) return;
    const { 'content-range': contentRange } = response.headers();
    parts.push({ status: response.status(), range: response.request().headers().range, contentRange });
  });
  const heard = await page.evaluate(play, { url, seconds: SEEK_SECONDS });
  return { ...heard, parts, soughtByte: SEEK_SECONDS * BYTES_PER_SECOND };
}

// What follows runs in the browser.

function draw({ width, height }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  canvas.getContext('2d', { alpha: false }).fillRect(0, 0, width / 2, height);
  const picture = canvas.toDataURL('image/webp', 0.5);
  return picture.slice(picture.indexOf(',') + 1);
}

// Which pictures and players show what they should, and what `fetch` may have, with and without CORS.
async function embed({ pictures, media }) {
  const told = { isIsolated: crossOriginIsolated };
  for (const [name, url] of Object.entries(pictures)) {
    told[`img: ${name}`] = await Object.assign(new Image(), { src: url }).decode().then(() => true, () => false);
    const opaque = await fetch(url, { mode: 'no-cors', cache: 'reload' }).then(({ type }) => type, () => 'nothing');
    // This asks whether it is still the same, which the answer to is another.
    const again = await fetch(url, { mode: 'no-cors', cache: 'no-cache' }).then(({ type }) => type, () => 'nothing');
    told[`fetch: ${name}`] = [opaque, again].every((type) => type === 'opaque');
  }
  for (const [tag, url] of Object.entries(media)) {
    const player = Object.assign(document.createElement(tag), { src: url, preload: 'auto' });
    told[tag] = await new Promise((resolve) => {
      player.addEventListener('loadeddata', () => resolve(true));
      player.addEventListener('error', () => resolve(false));
    });
  }
  return told;
}

async function play({ url, seconds }) {
  const audio = Object.assign(document.createElement('audio'), { src: url, preload: 'metadata', muted: true });
  const event = (name) => new Promise((resolve) => audio.addEventListener(name, resolve, { once: true }));
  await event('loadedmetadata');
  const seekableUntil = audio.seekable.length > 0 ? audio.seekable.end(0) : 0;
  if (seekableUntil < seconds) return { duration: audio.duration, seekableUntil };
  const sought = event('seeked');
  audio.currentTime = seconds;
  await sought;
  await audio.play();
  while (audio.currentTime < seconds + 0.5) await event('timeupdate');
  return { duration: audio.duration, seekableUntil, playedUntil: audio.currentTime };
}

async function runScript(src) {
  const script = Object.assign(document.createElement('script'), { src });
  await new Promise((resolve) => {
    script.addEventListener('load', resolve);
    script.addEventListener('error', resolve);
    document.head.append(script);
  });
  return { ran: globalThis.ran ?? null };
}
