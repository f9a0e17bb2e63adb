// The edge's stores as tests see them: a Worker that holds the same R2 bucket and the same caches.
// It is asked by HTTP for what is in there, and told what to put there and what to do wrong. Its
// entrypoint `Bucket` can be bound in the place of the bucket itself: it passes everything on,
// counts it, and fails as it was told.
import { WorkerEntrypoint } from 'cloudflare:workers';

/**
 * By operation (`get`, `put`, `delete`, `list`): what to do wrong, maybe only `at` one name. Under
 * `all`: how many operations there may be, as plans of the platform limit them.
 */
let faults = {};
let counts = {};

/** Longer than anyone waits. */
const NEVER_MS = 600_000;
const SLOW_MS = 1_000;

export class Bucket extends WorkerEntrypoint {
  async get(key, options) {
    const fault = await begin('get', key);
    const found = await this.env.BUCKET.get(key, options);
    if (found === null || found.body === undefined) return null;
    const bytes = new Uint8Array(await found.arrayBuffer());
    const object = { etag: found.etag, size: found.size, customMetadata: found.customMetadata };
    switch (fault) {
      case 'is truncated': return { ...object, body: streamOf(bytes.subarray(0, bytes.length / 2)) };
      case 'breaks': return { ...object, body: streamOf(bytes.subarray(0, bytes.length / 2), 'broken') };
      case 'stalls': return { ...object, body: streamOf(bytes.subarray(0, bytes.length / 2), 'stalled') };
      case 'runs over': return { ...object, body: streamOf(new Uint8Array([...bytes, 1])) };
      case 'lies about the size': return { ...object, size: found.size + 1, body: streamOf(bytes) };
      case 'has no record': return { ...object, customMetadata: {}, body: streamOf(bytes) };
      default: return { ...object, body: streamOf(bytes) };
    }
  }

  async put(key, value, options) {
    const fault = await begin('put', key);
    const bytes = typeof value === 'string' ? value : await new Response(value).arrayBuffer();
    if (fault === 'breaks') throw new Error('it broke');
    const stored = await this.env.BUCKET.put(key, bytes, options);
    return stored && { etag: stored.etag };
  }

  async delete(keys) {
    await begin('delete', keys);
    await this.env.BUCKET.delete(keys);
  }

  async list(options) {
    await begin('list', options.prefix);
    const { objects, truncated } = await this.env.BUCKET.list(options);
    return { objects: objects.map(({ key }) => ({ key })), truncated };
  }
}

/** Counts an operation, and says what is to go wrong later in it. */
async function begin(operation, name) {
  counts[operation] = (counts[operation] ?? 0) + 1;
  const total = Object.values(counts).reduce((sum, count) => sum + count);
  if (total > (faults.all ?? Infinity)) throw new Error('Too many subrequests.');
  const fault = faults[operation];
  if (fault === 'fails' || fault === `fails at ${name}`) throw new Error('it failed');
  if (fault === 'hangs') await scheduler.wait(NEVER_MS);
  if (fault === 'is slow') await scheduler.wait(SLOW_MS);
  return fault;
}

/** Bytes that are followed by their end, by an error, or by nothing at all. */
function streamOf(bytes, end) {
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      if (bytes.length > 0) {
        controller.enqueue(bytes.slice());
        bytes = bytes.subarray(bytes.length);
        if (end !== undefined) return;
      }
      if (end === 'broken') return controller.error(new Error('it broke off'));
      if (end === 'stalled') await scheduler.wait(NEVER_MS);
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
}

/** The headers of ours by which stored things are put, and told. */
const RECORD = 'record';
const STAMP = 'stamp';
const CACHE_RECORD = 'x-edge-meta';

async function object(method, key, request, { BUCKET }) {
  switch (method) {
    case 'PUT': {
      const metadata = [RECORD, STAMP].map((name) => [name, request.headers.get(name)]);
      const customMetadata = Object.fromEntries(metadata.filter(([, value]) => value !== null));
      await BUCKET.put(key, request.body ?? '', { customMetadata });
      return new Response();
    }
    case 'DELETE':
      await BUCKET.delete(key);
      return new Response();
  }
  const found = await BUCKET.get(key);
  if (found === null) return new Response(null, { status: 404 });
  const { record = '', stamp = '' } = found.customMetadata;
  return new Response(found.body, { headers: { [RECORD]: record, [STAMP]: stamp } });
}

async function entry(method, key, request) {
  const cache = await caches.open('matrix-media-edge');
  const url = `https://${key}`;
  switch (method) {
    case 'PUT': {
      const headers = { 'cache-control': 'public, max-age=3600' };
      headers[CACHE_RECORD] = request.headers.get(RECORD);
      await cache.put(url, new Response(await request.arrayBuffer(), { headers }));
      return new Response();
    }
    case 'DELETE':
      await cache.delete(url);
      return new Response();
  }
  const found = await cache.match(url);
  if (found === undefined) return new Response(null, { status: 404 });
  const headers = new Headers(found.headers);
  headers.set(RECORD, found.headers.get(CACHE_RECORD) ?? '');
  return new Response(found.body, { headers });
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const { method } = request;
    switch (`${method} ${pathname}`) {
      case 'PUT /faults':
        faults = await request.json();
        counts = {};
        return new Response();
      case 'GET /counts':
        return Response.json(counts);
      case 'GET /objects':
        return Response.json((await env.BUCKET.list({ limit: 1000 })).objects.map(({ key }) => key));
    }
    const [, kind, key] = pathname.match(/^\/(objects|entries)\/(.*)$/);
    return kind === 'objects' ? object(method, key, request, env) : entry(method, key, request);
  },
};
