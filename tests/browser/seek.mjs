// Plays a video in a real browser and seeks in it before it is loaded:
//
//     node seek.mjs <access token> <address to upload to> <name=address to play from>…
//
// Prints one line of JSON: the file's size and length, and what was seen over a slow line from each
// address. The picture itself tells its time, so a seek is checked by what is shown.
import process from 'node:process';

import { fail, launch } from './browser.mjs';
import { PICTURE_SECONDS, film, seek, start } from './film.mjs';
import { relay } from './relay.mjs';

const PICTURES = 40;
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
  const video = await onPage((page) => film(page, PICTURES));
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
