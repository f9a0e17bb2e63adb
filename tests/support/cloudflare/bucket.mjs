// A stand-in for what R2 does besides storing: it is some way off, takes one write of a key in a
// second, and bounds the metadata of an object.
//
// A Worker's binding speaks HTTP with R2: a request as JSON, in a header or before the body. The
// entrypoint `Limits` stands between a binding and Miniflare's R2, passes all on, and answers what
// R2 would refuse with R2's own error (https://developers.cloudflare.com/r2/api/error-codes/), so
// that the Worker gets it as it would there. The Worker itself is asked by tests: `PUT /settings`
// changes those that it names and counts from zero, `GET /counts` tells the calls since.
import { WorkerEntrypoint } from 'cloudflare:workers';

const REQUEST = 'cf-r2-request';
const ERROR = 'cf-r2-error';
const METADATA_SIZE = 'cf-r2-metadata-size';

const settings = {
  /** How long a call takes, in milliseconds: at least and at most. */
  callMs: [2, 6],
  /** How long after a write of a key the next one is taken, in milliseconds. */
  writeMs: 1000,
  /** The most metadata of an object, in bytes, names included. */
  maxMetadataBytes: 8192,
};

const counts = {};
const writtenAt = new Map();

export class Limits extends WorkerEntrypoint {
  async fetch(request) {
    const [asked, passed] = await read(request);
    count(asked.method);
    const [least, most] = settings.callMs;
    await scheduler.wait(least + Math.random() * (most - least));
    const refusal = asked.method === 'put' ? refusalOf(asked) : undefined;
    if (refusal === undefined) return this.env.R2.fetch(passed);
    count('refused');
    // Or the binding would hear of a lost connection instead.
    await passed.body?.pipeTo(new WritableStream());
    return refusal;
  }
}

/** What is asked, and the request to pass on. */
async function read(request) {
  const size = Number(request.headers.get(METADATA_SIZE) ?? 0);
  if (size === 0) return [JSON.parse(request.headers.get(REQUEST) ?? '{}'), request];
  // Branches of a tee keep the length, which R2 must be told.
  const [first, body] = request.body.tee();
  const reader = first.getReader({ mode: 'byob' });
  const { value } = await reader.readAtLeast(size, new Uint8Array(size));
  // Not waited for: it ends with the other branch.
  reader.cancel();
  return [JSON.parse(new TextDecoder().decode(value)), new Request(request, { body })];
}

function refusalOf({ object, customFields = [], httpFields = {} }) {
  const fields = [...customFields.map(({ k, v }) => k + v), ...Object.entries(httpFields).flat()];
  const bytes = new TextEncoder().encode(fields.join('')).length;
  if (bytes > settings.maxMetadataBytes) {
    return refuse(400, 10012, 'Your metadata headers exceed the maximum allowed metadata size.');
  }
  const now = Date.now();
  if (now - (writtenAt.get(object) ?? 0) < settings.writeMs) {
    return refuse(429, 10058, 'Reduce your concurrent request rate for the same object.');
  }
  writtenAt.set(object, now);
}

function refuse(status, v4code, message) {
  const error = JSON.stringify({ version: 0, v4code, message });
  return new Response(null, { status, headers: { [ERROR]: error } });
}

function count(name) {
  counts[name] = (counts[name] ?? 0) + 1;
}

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/counts') return Response.json(counts);
    Object.assign(settings, await request.json());
    for (const name of Object.keys(counts)) delete counts[name];
    return new Response();
  },
};
