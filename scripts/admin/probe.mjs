// Asks a server one question and returns a plain record of what came back. Never throws for what a
// server does.

/** How long an answer may take, redirects and body included, in milliseconds. */
const PATIENCE_MS = 10_000;

/** The most that is read of an answer, in bytes: what the edge reads of a well-known document. */
const MAX_BODY_BYTES = 64 * 1024;

/** The most redirects that are followed: as many as browsers do. */
const MAX_REDIRECTS = 20;

/**
 * GET, with redirects followed if `follow` says so.
 *
 * Returns `{ url, hops, status, headers, text }`, or `{ url, hops, failure }` if there was no whole
 * answer. `hops` are the URLs that redirected.
 */
export async function probe(url, { headers = {}, follow = false } = {}) {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const hops = [];
  const asked = { 'User-Agent': 'matrix-media-edge', ...headers };
  for (let target = url; ;) {
    try {
      const response = await fetch(target, { headers: asked, redirect: 'manual', signal });
      const location = response.headers.get('location');
      if (follow && location !== null && response.status >= 300 && response.status < 400) {
        await response.body?.cancel();
        if (hops.push(target) > MAX_REDIRECTS)
          return { url: target, hops, failure: 'redirects without end' };
        target = new URL(location, target).href;
        continue;
      }
      const text = await readText(response);
      if (text === undefined)
        return { url: target, hops, failure: `an answer over ${MAX_BODY_BYTES} bytes` };
      return { url: target, hops, status: response.status, headers: response.headers, text };
    } catch (error) {
      return { url: target, hops, failure: reason(error) };
    }
  }
}

async function readText(response) {
  const chunks = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Why there was no answer, in words for an admin. */
export function reason(error) {
  if (error.name === 'TimeoutError') return `no answer within ${PATIENCE_MS / 1000} s`;
  const code = error.cause?.code ?? error.code ?? error.cause?.message ?? error.message;
  const words = {
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'the name could not be looked up',
    ECONNREFUSED: 'the connection was refused',
    ECONNRESET: 'the connection was cut',
    UND_ERR_SOCKET: 'the connection was cut',
    CERT_HAS_EXPIRED: 'its certificate has expired',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
    ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate chain is incomplete',
  };
  return words[code] ?? String(code);
}
