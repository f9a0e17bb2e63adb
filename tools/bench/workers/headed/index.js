// What no Worker of ours can be faster than: bytes in memory, sent with the headers that a hit of
// ours has; with ENTRY=wrapped through an entry as worker-build makes it.
import { WorkerEntrypoint, env } from 'cloudflare:workers';

const HEADERS = [
  ['accept-ranges', 'bytes'],
  ['access-control-allow-headers', 'X-Requested-With, Content-Type, Authorization, Date, Range'],
  ['access-control-allow-methods', 'GET, HEAD, POST, PUT, DELETE, OPTIONS'],
  ['access-control-allow-origin', '*'],
  ['access-control-expose-headers', 'Accept-Ranges, Content-Disposition, Content-Range, ETag'],
  ['age', '12'],
  ['cache-control', 'private, max-age=86400'],
  ['cache-status', 'matrix-media-edge; hit; ttl=290'],
  ['content-disposition', 'inline; filename="thumbnail.jpg"'],
  ['content-security-policy', "sandbox; default-src 'none'; script-src 'none'; style-src 'unsafe-inline'"],
  ['content-type', 'image/jpeg'],
  ['cross-origin-resource-policy', 'cross-origin'],
  ['etag', '"iUQNSOeFomiUgoifbduTZssY-4108"'],
  ['referrer-policy', 'no-referrer'],
  ['server-timing', 'tier;desc=memory'],
  ['x-content-type-options', 'nosniff'],
  ['x-robots-tag', 'noindex, nofollow, noarchive, noimageindex'],
];
const known = new Map();

async function answer(request) {
  if (request.method === 'OPTIONS') return new Response(null, { status: 204 });
  const { pathname, search } = new URL(request.url);
  let bytes = known.get(pathname + search);
  if (bytes === undefined) {
    const answer = await fetch(env.ORIGIN + pathname + search, request);
    bytes = new Uint8Array(await answer.arrayBuffer());
    known.set(pathname + search, bytes);
  }
  const headers = new Headers();
  for (const [name, value] of HEADERS) headers.set(name, value);
  return new Response(bytes, { headers });
}

class Entrypoint extends WorkerEntrypoint {
  fetch(request) {
    return answer(request);
  }
}

/** An instance behind a proxy, and so is each of its methods when it is read. */
const wrapping = {
  construct(target, args, newTarget) {
    const instance = Reflect.construct(target, args, newTarget);
    const get = (_, name) => {
      const member = Reflect.get(instance, name);
      if (typeof member !== 'function') return member;
      return new Proxy(member, { apply: (method, self, args) => method.apply(self, args) });
    };
    return new Proxy({ instance }, { get });
  },
};

export default env.ENTRY === 'wrapped' ? new Proxy(Entrypoint, wrapping) : { fetch: answer };
