// A stand-in for Cloudflare's cache, as the Cache API of a Worker meets it.
//
// workerd sends each call of that API as a request of HTTP to the service of `cacheApiOutbound`: `PUT`
// with a whole response as its body, `GET` (maybe with `Range`) with `Cache-Control: only-if-cached`,
// and `PURGE`. This is such a service. Unlike Miniflare's own, which is one strongly consistent
// database, it does what Cloudflare documents or what has been seen there:
//
// - an entry is found some time after its put, or never; the one before it is found until then;
// - a call takes its time;
// - a body that breaks off is never committed, and one over 512 MB is refused without a word;
// - a part is cut only out of an entry that was put with a length;
// - deletes are rate limited, may take effect late, and end what was put before and shows up later;
// - entries are evicted, at random or when nobody has read them for a while;
// - a zone at a data centre has a cache of its own: its Workers share that, others don't;
// - `Cache-Tag` is for the platform, and gone when a Worker of the zone reads an entry;
// - the whole of it is off where Access, Development Mode or a cache rule has it off. Rules, and only
//   those, give way to `cf.cacheEverything`.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Buffer } from 'node:buffer';

/** By which the service of a Worker names the cache of its zone and data centre. */
const SPACE = 'x-cache-space';
const CF = 'x-cache-cf';

/** For Workers that see all caches, each under the hosts of its zone. */
const ALL = '*';

const DEFAULTS = {
  /** How long after a put an entry is found, in milliseconds; null: never. */
  visibleAfterMs: 20,
  /** How long a call takes, in milliseconds: at least and at most. */
  callMs: [1, 3],
  /** The largest body, in bytes. */
  maxBytes: 512_000_000,
  /** What has it off: 'access', 'development', 'rule', or null. */
  offBy: null,
  /** Of how many deletes one is answered with a 429; 0: none. */
  refusesDeleteOf: 0,
  /** How long after its answer a delete takes effect, in milliseconds. */
  deletesAfterMs: 0,
  /** Of how many reads one finds its entry evicted; 0: none. */
  evictsOf: 0,
  /** Whether it commits what broke off, as Miniflare's cache does and Cloudflare's does not. */
  commitsBroken: false,
  /** How long an entry lives unread, in milliseconds; null: as long as its headers say. */
  unreadMs: null,
};

const SETTLED_MS = 5;

const NO_COUNTS = { match: 0, put: 0, delete: 0, hit: 0, committed: 0, refused: 0, evicted: 0 };
const HOP_BY_HOP = ['content-length', 'transfer-encoding', 'connection', 'keep-alive'];
const MISS = { 'CF-Cache-Status': 'MISS' };

/**
 * Starts it with settings on top of the defaults. `spaceOf` names the cache that has a host, for
 * those who see all. Requests without a space are a test's: `PUT /settings` changes those that it
 * names and counts from zero, `GET /counts` tells the calls since, `GET /keys` the names of all
 * entries, `POST /later?ms=` has time pass, `GET /settled` is answered once the writes that have
 * arrived whole have ended, and what was put is found.
 */
export async function startCache(given, spaceOf) {
  const cache = new Cache({ ...DEFAULTS, ...given }, spaceOf);
  const server = createServer((request, response) => {
    cache.answer(request, response).catch(() => response.destroy());
  });
  // A connection that ends while workerd takes it up again would be a failure of its own.
  Object.assign(server, { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${server.address().port}`;
  return {
    address,
    service: serviceAt(address),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The service that a Worker's calls go to, by the name of its cache, as workerd's configuration has it. */
export const serviceAt = (address) => (space) => ({
  external: {
    address,
    http: { cfBlobHeader: CF, injectRequestHeaders: [{ name: SPACE, value: space ?? ALL }] },
  },
});

class Cache {
  #entries = new Map();
  #counts = { ...NO_COUNTS };
  #later = 0;
  #puts = 0;
  #writes = new Set();
  #shownAt = 0;

  constructor(settings, spaceOf) {
    this.settings = settings;
    this.spaceOf = spaceOf;
  }

  async answer(request, response) {
    const { method, headers } = request;
    if (headers[SPACE] === undefined) return this.#tell(request, response);
    const space = headers[SPACE] === ALL ? this.spaceOf(headers.host) : headers[SPACE];
    const key = [space, headers['cf-cache-namespace'] ?? '', headers.host + request.url].join(' ');
    const isOff = this.#isOff(headers[CF]);
    const [least, most] = this.settings.callMs;
    const wait = () => sleep(least + Math.random() * (most - least));
    switch (method) {
      case 'PUT': {
        this.#counts.put += 1;
        const put = await readPut(request, this.settings);
        await this.#write(wait());
        if (put === null) return response.destroy();
        const isKept = put !== 'refused' && isStorable(put);
        if (isKept && !isOff) this.#put(key, put);
        else this.#counts.refused += 1;
        return send(response, isKept ? 204 : 413, {});
      }
      case 'PURGE':
        this.#counts.delete += 1;
        await drain(request);
        await this.#write(wait());
        if (isOneOf(this.settings.refusesDeleteOf)) return send(response, 429, {});
        return send(response, this.#delete(key) && !isOff ? 200 : 404, {});
      default: {
        this.#counts.match += 1;
        await drain(request);
        await wait();
        const found = isOff ? undefined : this.#find(key);
        if (found === undefined) return send(response, 504, MISS);
        this.#counts.hit += 1;
        return sendEntry(response, found, headers.range, headers[SPACE] === ALL);
      }
    }
  }

  async #write(waiting) {
    this.#writes.add(waiting);
    await waiting;
    this.#writes.delete(waiting);
  }

  #now() {
    return Date.now() + this.#later;
  }

  #isOff(cf) {
    const { offBy } = this.settings;
    return offBy !== null && !(offBy === 'rule' && JSON.parse(cf ?? '{}').cacheEverything === true);
  }

  #put(key, entry) {
    this.#counts.committed += 1;
    const { visibleAfterMs } = this.settings;
    if (visibleAfterMs === null) return;
    const now = this.#now();
    const versions = this.#entries.get(key) ?? [];
    const visibleAt = now + visibleAfterMs;
    this.#shownAt = Math.max(this.#shownAt, visibleAt);
    versions.push({ ...entry, number: (this.#puts += 1), visibleAt, readAt: visibleAt, putAt: now });
    this.#entries.set(key, versions);
  }

  /** Ends all versions that were put until now, also those that nobody has found yet. */
  #delete(key) {
    const last = this.#puts;
    const end = () => {
      const left = (this.#entries.get(key) ?? []).filter(({ number }) => number > last);
      if (left.length > 0) this.#entries.set(key, left);
      else this.#entries.delete(key);
    };
    const wasThere = this.#find(key) !== undefined;
    if (this.settings.deletesAfterMs > 0) setTimeout(end, this.settings.deletesAfterMs).unref();
    else end();
    return wasThere;
  }

  #find(key) {
    const now = this.#now();
    const { unreadMs, evictsOf } = this.settings;
    const versions = this.#entries.get(key) ?? [];
    const at = versions.findLastIndex(({ visibleAt }) => visibleAt <= now);
    if (at < 0) return undefined;
    // Those before it are never found again.
    versions.splice(0, at);
    const [found] = versions;
    const isUnread = unreadMs !== null && now - found.readAt >= unreadMs;
    if (found.putAt + 1000 * found.seconds <= now || isUnread || isOneOf(evictsOf)) {
      this.#counts.evicted += 1;
      versions.shift();
      return undefined;
    }
    found.readAt = now;
    return found;
  }

  async #tell(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://cache');
    const text = await drain(request);
    switch (`${request.method} ${pathname}`) {
      case 'PUT /settings':
        Object.assign(this.settings, JSON.parse(text));
        this.#counts = { ...NO_COUNTS };
        return send(response, 204, {});
      case 'POST /later':
        this.#later += Number(searchParams.get('ms'));
        return send(response, 204, {});
      case 'GET /settled':
        await Promise.all(this.#writes);
        // They are put on the turns after that.
        await sleep(SETTLED_MS);
        await sleep(this.#shownAt - this.#now());
        return send(response, 204, {});
      case 'GET /counts':
        return send(response, 200, {}, Buffer.from(JSON.stringify(this.#counts)));
      case 'GET /keys':
        return send(response, 200, {}, Buffer.from(JSON.stringify([...this.#entries.keys()])));
      default:
        return send(response, 404, {});
    }
  }
}

const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

const isOneOf = (count) => count > 0 && Math.floor(Math.random() * count) === 0;

async function drain(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** The response that a put brings; null if it breaks off, 'refused' if it is too large. */
async function readPut(request, { maxBytes, commitsBroken }) {
  const chunks = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += chunk.length;
      // Its head is small beside that.
      if (length <= maxBytes) chunks.push(chunk);
      else chunks.length = 0;
    }
  } catch {
    // It ends there, as below.
  }
  if (!request.complete && !commitsBroken) return null;
  return length > maxBytes ? 'refused' : parse(Buffer.concat(chunks), commitsBroken);
}

/** The body is all that follows the head, unframed, whatever that says. */
function parse(bytes, isAnyLength) {
  const end = bytes.indexOf('\r\n\r\n');
  const [line, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const fields = lines.map((field) => {
    const colon = field.indexOf(':');
    return [field.slice(0, colon).trim().toLowerCase(), field.slice(colon + 1).trim()];
  });
  const body = bytes.subarray(end + 4);
  const declared = fields.find(([name]) => name === 'content-length')?.[1];
  if (declared !== undefined && Number(declared) !== body.length && !isAnyLength) return null;
  const cacheControl = fields.filter(([name]) => name === 'cache-control').join();
  return {
    status: Number(line.split(' ')[1]),
    fields: fields.filter(([name]) => !HOP_BY_HOP.includes(name)),
    body,
    hasLength: declared !== undefined,
    isPrivate: /\b(no-store|no-cache|private)\b/.test(cacheControl),
    seconds: Number(cacheControl.match(/s-maxage=(\d+)/)?.[1] ?? cacheControl.match(/max-age=(\d+)/)?.[1] ?? 7200),
  };
}

const isStorable = ({ fields, isPrivate, seconds }) =>
  !isPrivate && seconds > 0 && !fields.some(([name]) => name === 'set-cookie');

function sendEntry(response, { status, fields, body, hasLength }, range, isTold) {
  // A Worker of the zone is not told the tags.
  const told = isTold ? fields : fields.filter(([name]) => name !== 'cache-tag');
  const headers = { ...Object.fromEntries(told), 'CF-Cache-Status': 'HIT' };
  const part = range === undefined || !hasLength ? undefined : partOf(range, body.length);
  if (part === undefined) return send(response, status, headers, body);
  if (part === null) {
    const unsatisfied = { 'CF-Cache-Status': 'HIT', 'Content-Range': `bytes */${body.length}` };
    return send(response, 416, unsatisfied);
  }
  const [first, last] = part;
  headers['Content-Range'] = `bytes ${first}-${last}/${body.length}`;
  return send(response, 206, headers, body.subarray(first, last + 1));
}

/** The first and the last byte; null if there is none of them, undefined if it is no single range. */
function partOf(range, length) {
  const [, from, to] = range.match(/^bytes=(\d*)-(\d*)$/) ?? [];
  if (from === undefined || (from === '' && to === '')) return undefined;
  const first = from === '' ? Math.max(0, length - Number(to)) : Number(from);
  const last = from === '' || to === '' ? length - 1 : Math.min(Number(to), length - 1);
  return first <= last ? [first, last] : null;
}

function send(response, status, headers, body = Buffer.alloc(0)) {
  if (status !== 204) headers['Content-Length'] = body.length;
  response.writeHead(status, headers).end(body);
}
