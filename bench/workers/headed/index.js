// What no Worker of ours can be faster than: bytes in memory, sent with the headers that a hit of
// ours has; with ENTRY=wrapped through an entry as worker-build makes it.
import { WorkerEntrypoint, env } from 'cloudflare:workers';

const HEADERS = `access-control-allow-headers
X-Requested-With, Content-Type, Authorization, Date
access-control-allow-methods
GET, HEAD, POST, PUT, DELETE, OPTIONS
access-control-allow-origin
*
`;
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
