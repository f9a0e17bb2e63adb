// Reads answers of servers: what kind of thing came back where JSON was due.
import { parseBaseUrl, parseServerName, printable } from './names.mjs';

/** Where servers look for one that names no port, if there is no SRV record either. */
const FEDERATION_PORT = 8448;

/** Whether something in front answered in the server's place, to keep programs out. */
export function isWalled(answer) {
  if (answer.failure !== undefined) return false;
  return (
    answer.headers.has('cf-mitigated') ||
    ([403, 429, 503].includes(answer.status) && isHtml(answer))
  );
}

/** Whether the answer came through Cloudflare's proxy. */
export function isProxied(answer) {
  return answer.failure === undefined && answer.headers.has('cf-ray');
}

/**
 * The answer as a JSON object, whatever its status.
 *
 * Returns `{ status, object }`, or `{ status, problem }`: a phrase to follow "answers with".
 */
export function readObject(answer) {
  if (answer.failure !== undefined) return { problem: `nothing (${printable(answer.failure)})` };
  const { status } = answer;
  if (isWalled(answer)) return { status, problem: `a bot wall (status ${status})` };
  try {
    const object = JSON.parse(answer.text);
    if (typeof object === 'object' && object !== null && !Array.isArray(object))
      return { status, object };
  } catch {
    // What it is instead is told below.
  }
  return {
    status,
    problem: `${isHtml(answer) ? 'a page of HTML' : 'no JSON object'} (status ${status})`,
  };
}

/** The Matrix error code of an object, for printing. */
export function errcode(object) {
  return /^[A-Z0-9_.]{1,60}$/.test(object?.errcode) ? object.errcode : 'no error code';
}

/**
 * `/.well-known/matrix/client`: `{ answer, state }` and, where the state is "found", the `object`
 * and the `base` URL that it names. The other states are "absent" and "broken", with a `problem`.
 */
export function readClientDocument(answer) {
  return readDocument(answer, (object) => {
    const text = object['m.homeserver']?.base_url;
    if (typeof text !== 'string') return { problem: 'a document without m.homeserver.base_url' };
    const { value, problem } = parseBaseUrl(text);
    return value ? { base: value } : { problem: `a document whose base_url ${problem}` };
  });
}

/** `/.well-known/matrix/server`: the same, and where `federation` goes. */
export function readServerDocument(answer, scheme) {
  return readDocument(answer, (object) => {
    const { value } =
      typeof object['m.server'] === 'string' ? parseServerName(object['m.server']) : {};
    const base = value && ownBase(scheme, value.text);
    return base
      ? { base, federation: federationBase(scheme, value) }
      : { problem: 'a document without an m.server that names a host' };
  });
}

/** Where servers find the federation endpoints of a name, SRV records aside. */
export function federationBase(scheme, { host, port }) {
  return ownBase(scheme, `${host}:${port ?? FEDERATION_PORT}`);
}

function readDocument(answer, read) {
  const { status, object, problem } = readObject(answer);
  if (status === 404) return { answer, state: 'absent' };
  if (problem) return { answer, state: 'broken', problem };
  if (status !== 200) return { answer, state: 'broken', problem: `status ${status}` };
  const document = read(object);
  return { answer, state: document.problem ? 'broken' : 'found', object, ...document };
}

/** Federation is https; but where well-known is plain http, so is what is beside it. */
function ownBase(scheme, authority) {
  return (
    parseBaseUrl(`${scheme}://${authority}`).value ?? parseBaseUrl(`https://${authority}`).value
  );
}

function isHtml(answer) {
  return (
    /html/i.test(answer.headers.get('content-type') ?? '') ||
    /^\s*<(!doctype|html)/i.test(answer.text)
  );
}
