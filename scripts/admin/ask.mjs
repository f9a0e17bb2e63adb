// Asks a server one question, and gives what came back as it came: lengths, tags and encodings that
// `fetch` would hide. Never throws for what a server does.
import http from 'node:http';
import https from 'node:https';

import { reason } from './probe.mjs';

/** How long an answer may take, body included, in milliseconds. */
export const PATIENCE_MS = 20_000;

/** The most that is read of an answer, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;

/** The most redirects that are followed: as many as browsers do. */
const MAX_REDIRECTS = 20;

/**
 * Returns `{ url, hops, status, headers, bytes, text }`, or `{ url, hops, failure }` if there was no
 * whole answer. `hops` are the URLs that redirected, which are followed if `follow` says so.
 */
export async function ask(url, { follow = false, ...options } = {}) {
  const hops = [];
  for (let target = url; ; ) {
    const answer = await askOnce(target, options);
    const location = answer.headers?.get('location');
    if (!follow || !location || answer.status < 300 || answer.status >= 400)
      return { url: target, hops, ...answer };
    if (hops.push(target) > MAX_REDIRECTS)
      return { url: target, hops, failure: 'redirects without end' };
    target = URL.parse(location, target)?.href;
    if (!/^https?:/.test(target)) return { url: location, hops, failure: 'a redirect to no website' };
  }
}

async function askOnce(url, options) {
  const { method = 'GET', headers = {}, body, patienceMs = PATIENCE_MS } = options;
  const signal = AbortSignal.timeout(patienceMs);
  const { request } = url.startsWith('https:') ? https : http;
  const length = body === undefined ? {} : { 'Content-Length': body.length };
  const asked = { 'User-Agent': 'matrix-media-edge', ...length, ...headers };
  try {
    const incoming = await new Promise((resolve, reject) => {
      const outgoing = request(url, { method, headers: asked, agent: false, signal });
      outgoing.on('response', resolve).on('error', reject).end(body);
    });
    const bytes = await readAll(incoming);
    if (bytes === undefined) return { failure: `an answer over ${MAX_BODY_BYTES} bytes` };
    const found = new Headers();
    for (let i = 0; i < incoming.rawHeaders.length; i += 2)
      found.append(incoming.rawHeaders[i], incoming.rawHeaders[i + 1]);
    return { status: incoming.statusCode, headers: found, bytes, text: bytes.toString('utf8') };
  } catch (error) {
    if (signal.aborted) return { failure: `no answer within ${patienceMs / 1000} s` };
    return { failure: reason(error) };
  }
}

async function readAll(incoming) {
  const chunks = [];
  let length = 0;
  for await (const chunk of incoming) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
