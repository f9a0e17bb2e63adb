// Uploads two small files and reads them, as clients do.
import { bad, note, ok } from './levels.mjs';
import { printable } from './names.mjs';
import { errcode, readObject } from './reading.mjs';
import { isOfEdge } from './live-routes.mjs';

/** The length of the file that is read again and again, in bytes. */
const FILE_BYTES = 48 * 1024;

/** How often it is read, and how long is paused before all but the first, in milliseconds. */
const READS = 3;
const PAUSE_MS = 1_500;

/** Long enough to be worth compressing. */
const TEXT = Buffer.from('All work and no play makes Jack a dull boy.\n'.repeat(500));

const RANGE = [100, 199];

const UPLOAD_FAILURES = {
  401: 'MATRIX_ACCESS_TOKEN is no token of this homeserver (or has ended): take another',
  403: 'See that this user may upload, and that MATRIX_ACCESS_TOKEN is of this homeserver',
  400: 'Where the error speaks of a Content-Length, something before the Worker takes the length of uploads away: see the rules of the zone',
  411: 'Something before the homeserver takes the length of uploads away: see the rules of its zone and its proxy',
  413: 'See MAX_UPLOAD_BYTES and the limit of the homeserver: 48 kB must fit',
  429: 'The homeserver limits uploads: do this again later',
};

/** Uploads, reads, and looks at what comes. */
export async function* checkMedia(options, world) {
  const file = world.randomBytes(FILE_BYTES);
  const { id, found } = await upload(options, world, file, 'application/octet-stream', 'check.bin');
  yield found;
  if (id === undefined) return;
  const url = downloadUrl(options, id);
  const read = yield* checkReads(url, file, options, world);
  if (!read) return;
  yield await checkRange(url, file, options, world);
  yield await checkHead(url, file, options, world);
  const text = await upload(options, world, TEXT, 'text/plain', 'check.txt');
  if (text.id === undefined) yield text.found;
  else yield await checkText(downloadUrl(options, text.id), options, world);
}

async function upload({ mediaUrl, serverName, token }, { ask }, body, type, name) {
  const url = `${mediaUrl}/_matrix/media/v3/upload?filename=${name}`;
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': type };
  const answer = await ask(url, { method: 'POST', headers, body });
  const { status, object, problem } = readObject(answer);
  const [, server, id] = /^mxc:\/\/([^/]+)\/([\w-]+)$/.exec(object?.content_uri ?? '') ?? [];
  if (status === 200 && id !== undefined) {
    if (server !== serverName) {
      const what = `an upload is ${printable(server)}'s, not ${serverName}'s`;
      return { found: bad(what, "SERVER_NAME must be the homeserver's own server name") };
    }
    return { id, found: ok('an upload arrives, with its length') };
  }
  const said = problem ?? `status ${status}, ${errcode(object)}`;
  const cure = UPLOAD_FAILURES[status] ?? 'The self-test and the status page say who answers so';
  return { found: bad(`an upload is answered with ${said}`, cure) };
}

/** Reads the file some times: all but the first must come from what is cached. */
async function* checkReads(url, file, options, world) {
  const answers = [];
  for (let number = 0; number < READS; number += 1) {
    if (number > 0) await world.pause(PAUSE_MS);
    const answer = await read(url, options, world);
    const problem = problemOf(answer, 200, file);
    if (problem !== undefined) {
      const cure = 'The self-test and the status page say who answers so';
      yield bad(`a download is answered with ${problem}`, cure);
      return false;
    }
    if (!isOfEdge(answer)) {
      yield bad('a download has no Cache-Status of the Worker', 'See that the media paths are routed');
      return false;
    }
    answers.push(answer);
  }
  const later = answers.slice(1);
  const hits = later.filter(isHit);
  const last = describeAnswer(later.at(-1));
  if (hits.length === later.length) {
    yield ok(`a file is read ${READS} times, and cached after the first (${last})`);
  } else if (isHit(later.at(-1))) {
    yield note(
      `a file is cached only after ${READS - 1} reads (${last})`,
      'Nothing is broken: the cache shows late what is new, or each read met another isolate',
    );
  } else {
    yield bad(
      `a file is not cached after ${READS} reads (${last})`,
      'docs/troubleshooting.md has the words of Cache-Status; the self-test says what to fix',
    );
  }
  return true;
}

async function checkRange(url, file, options, world) {
  const [first, last] = RANGE;
  const answer = await read(url, options, world, { Range: `bytes=${first}-${last}` });
  const problem = problemOf(answer, 206, file.subarray(first, last + 1));
  const told = answer.headers?.get('content-range');
  if (problem === undefined && told === `bytes ${first}-${last}/${file.length}`)
    return ok('a part of it is read by itself');
  return bad(
    `a part of it is answered with ${problem ?? 'another range than was asked for'}`,
    "Videos can't be sought in: see that no rule of the zone changes Range or Content-Range",
  );
}

async function checkHead(url, file, options, world) {
  const answer = await read(url, options, world, {}, 'HEAD');
  const problem = problemOf(answer, 200, Buffer.alloc(0));
  const length = answer.headers?.get('content-length');
  if (problem === undefined && length === String(file.length))
    return ok('HEAD tells its length without its body');
  return bad(
    `HEAD is answered with ${problem ?? `another length (${printable(length)})`}`,
    'See that no rule of the zone, or other Worker before this one, changes HEAD or lengths',
  );
}

/** What a text loses if it is compressed on its way. */
async function checkText(url, options, world) {
  const plain = await read(url, options, world, { 'Accept-Encoding': 'identity' });
  const zipped = await read(url, options, world, { 'Accept-Encoding': 'gzip' });
  const problem = problemOf(plain, 200, TEXT) ?? problemOf(zipped, 200, TEXT);
  const coding = zipped.headers?.get('content-encoding');
  const cure =
    'See the compression rules of the zone: media must pass as it is (Cache-Control: no-transform)';
  if (coding !== undefined && coding !== null)
    return bad(`a text is compressed on its way (${printable(coding)})`, cure);
  if (problem !== undefined) return bad(`a text is answered with ${problem}`, cure);
  if (zipped.headers.get('content-length') !== String(TEXT.length))
    return bad('a text loses its length where gzip is accepted', cure);
  const tags = [plain, zipped].map(({ headers }) => headers.get('etag'));
  if (tags[0] === null || tags[0] !== tags[1] || tags[0].startsWith('W/'))
    return bad('a text loses its tag where gzip is accepted', cure);
  return ok('a text keeps its length and tag where gzip is accepted');
}

function read(url, { token }, { ask }, headers = {}, method = 'GET') {
  return ask(url, { method, headers: { Authorization: `Bearer ${token}`, ...headers } });
}

function downloadUrl({ mediaUrl, serverName }, id) {
  return `${mediaUrl}/_matrix/client/v1/media/download/${serverName}/${id}`;
}

/** What is wrong with an answer, as a phrase to follow "answered with"; nothing if it is as due. */
function problemOf(answer, status, body) {
  if (answer.failure !== undefined) return `nothing (${printable(answer.failure)})`;
  if (answer.status !== status) {
    const { object, problem } = readObject(answer);
    return problem ?? `status ${answer.status}, ${errcode(object)}`;
  }
  return answer.bytes.equals(body) ? undefined : 'other bytes than were uploaded';
}

/** Whether the body came from what is cached. */
function isHit({ headers }) {
  const status = headers.get('cache-status') ?? '';
  const timing = headers.get('server-timing') ?? '';
  return /; hit\b/.test(status) || /\btier;desc=/.test(timing);
}

function describeAnswer({ headers }) {
  const status = (headers.get('cache-status') ?? '').replace(/^matrix-media-edge; /, '');
  const tier = /\btier;desc=([a-z]+)/.exec(headers.get('server-timing') ?? '')?.[1];
  return printable([status, ...(tier === undefined ? [] : [`from ${tier}`])].join(', '));
}
