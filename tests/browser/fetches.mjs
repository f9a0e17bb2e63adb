// What a page can read of answers from another site:
//
//     node fetches.mjs <JSON: { hosts: { name: address }, asks: { name: { url, method, headers, length } } }>
//
// `hosts` are names by which servers are reached at port 80; `length` is that of a request's body, if
// it has one. Prints one line of JSON: by name what `fetch` told the page, `{ status, headers, body,
// isRedirected }` with headers by lower-case name, or `{ error }` where it told nothing.
import process from 'node:process';

import { fail, launch } from './browser.mjs';

const WHOLE_PATIENCE_MS = 110_000;

const { hosts, asks } = JSON.parse(process.argv[2]);
setTimeout(() => fail('The browser hangs'), WHOLE_PATIENCE_MS).unref();

const rules = Object.entries(hosts).map(([name, address]) => `MAP ${name}:80 ${address}`);
const { onPage, close } = await launch([`--host-resolver-rules=${rules.join(', ')}`]);
try {
  const told = await onPage(async (page) => {
    const entries = [];
    for (const [name, ask] of Object.entries(asks)) entries.push([name, await page.evaluate(send, ask)]);
    return Object.fromEntries(entries);
  });
  console.log(JSON.stringify(told));
} finally {
  await close();
}

// Runs in the browser. What that keeps itself would tell nothing.
async function send({ url, method = 'GET', headers, length }) {
  const body = length === undefined ? undefined : new Blob([new Uint8Array(length)], { type: 'image/png' });
  try {
    const response = await fetch(url, { method, headers, body, cache: 'no-store' });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
      isRedirected: response.redirected,
    };
  } catch (error) {
    return { error: String(error) };
  }
}
