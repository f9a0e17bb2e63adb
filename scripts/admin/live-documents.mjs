// The well-known documents: as they are, and as they were before the deployment.
import { isDeepStrictEqual } from 'node:util';

import { bad, note, ok } from './levels.mjs';
import { readClientDocument, readServerDocument } from './reading.mjs';

const NAMES = ['client', 'server'];

/** The members that the edge adds. */
const MEDIA_FIELDS = ['m.media_server', 'com.beeper.msc3859.m.media_server'];

/** Reads both documents, as clients and servers do. */
export async function fetchDocuments({ wellKnownUrl }, { ask }) {
  const scheme = new URL(wellKnownUrl).protocol.slice(0, -1);
  const fetched = NAMES.map(async (name) => {
    const answer = await ask(`${wellKnownUrl}/.well-known/matrix/${name}`, { follow: true });
    const document =
      name === 'client' ? readClientDocument(answer) : readServerDocument(answer, scheme);
    return [name, document];
  });
  return Object.fromEntries(await Promise.all(fetched));
}

/** What `--save` writes: by document its state, and its members if it was found. */
export function savedDocuments(documents) {
  const saved = NAMES.map((name) => {
    const { state, object } = documents[name];
    return [name, { state, object }];
  });
  return `${JSON.stringify(Object.fromEntries(saved), null, 2)}\n`;
}

/** Looks at both documents, and at what has become of them since. */
export async function* checkDocuments(documents, { mediaUrl, before }) {
  for (const name of NAMES) {
    yield checkDocument(name, documents[name], mediaUrl);
    if (before !== undefined) yield compare(name, documents[name], before[name]);
  }
}

function checkDocument(name, { answer, state, problem, object }, mediaUrl) {
  const where = answer.hops[0] ?? answer.url;
  if (state === 'absent') {
    return note(
      `${where}: there is none`,
      'Clients need none if users type the homeserver in; else see WELL_KNOWN_GENERATE',
    );
  }
  if (state === 'broken') {
    const cure = "Clients can't log in by it: see that WELL_KNOWN_URL is right, or take the route off";
    return bad(`${where} answers with ${problem}`, cure);
  }
  if (name === 'client' && !answer.headers.has('access-control-allow-origin')) {
    const cure = 'Send Access-Control-Allow-Origin: * with it; a route to the Worker does that';
    return bad(`${where} has no CORS header: browsers can't read it`, cure);
  }
  const value = MEDIA_FIELDS.map((field) => object[field]).find((found) => found !== undefined);
  const { host, port } = new URL(mediaUrl);
  const authority = port === '' ? `${host}:443` : host;
  const isOurs = name === 'client' ? value?.base_url === mediaUrl : value === authority;
  if (isOurs) return ok(`${where} names ${mediaUrl}`);
  return note(
    value === undefined ? `${where} names no media server` : `${where} names another media server`,
    'Right if clients need not learn of the media domain; else route /.well-known/matrix/* to the Worker',
  );
}

/** Whether a document is what it was, but for the member that the edge adds. */
function compare(name, now, before) {
  const what = `the document for ${name}s`;
  const cure = `Go back ("make rollback", or take the route for /.well-known/matrix/* off), then see why`;
  if (before === undefined || before.state !== 'found') {
    return now.state === 'broken'
      ? bad(`${what} is broken now`, cure)
      : ok(`${what} was not there before, so nothing of it can have changed`);
  }
  if (now.state !== 'found') return bad(`${what} was there before and is not now`, cure);
  const members = new Set([...Object.keys(before.object), ...Object.keys(now.object)]);
  const changed = [...members].filter(
    (member) =>
      !(MEDIA_FIELDS.includes(member) && before.object[member] === undefined) &&
      !isDeepStrictEqual(before.object[member], now.object[member]),
  );
  return changed.length === 0
    ? ok(`${what} is what it was, but for the member that the edge adds`)
    : bad(`${what} has changed: ${changed.length} of its members`, cure);
}
