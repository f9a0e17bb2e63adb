// What was found, said to the admin: a list of `{ level, what, cure? }`. A level is "ok", "note"
// (to know) or "bad" (the edge would not work, or would make something worse).
import { printable } from './names.mjs';
import { errcode, isProxied, isWalled, readObject } from './reading.mjs';

/** The HTTPS ports that Cloudflare's proxy takes requests on. */
const PROXIED_PORTS = [443, 2053, 2083, 2087, 2096, 8443];

/** The largest request body on Cloudflare's Free and Pro plans, in bytes. */
const SMALLEST_BODY_LIMIT_BYTES = 100_000_000;

const MEDIA_FIELDS = ['m.media_server', 'com.beeper.msc3859.m.media_server'];

const BOT_WALL = 'Let programs in: a rule in front of it must skip /.well-known/matrix/* and /_matrix/*';

/** Whether servers' requests can come through Cloudflare's proxy. */
export function isProxiedPort(port) {
  return PROXIED_PORTS.includes(port);
}

/** Whether the homeserver's address leads through an edge for this server name already. */
export function isBehindEdge(found) {
  return found.loop?.status === 508;
}

/** What speaks for and against what is `wanted` (see configure.mjs). */
export function check(found, wanted) {
  return [
    ...checkDocument('client', found, wanted),
    ...checkDocument('server', found, wanted),
    ...checkHomeserver(found),
    ...(found.versions === undefined ? [] : checkMedia(found)),
    ...(found.base === undefined ? [] : [...checkKey(found, wanted), ...checkFront(found, wanted)]),
    ...checkZones(found, wanted),
  ];
}

function checkDocument(name, found, { announces, mediaUrl }) {
  const { answer, state, problem, object, base } = found.documents[name];
  const where = printable(answer.hops[0] ?? answer.url);
  const redirects = answer.hops.length > 0 ? ` (redirected to ${printable(answer.url)})` : '';
  if (state === 'absent') {
    if (!announces) return [note(`${where}: there is none${redirects}`)];
    const cure = 'Put one on its host, or write WELL_KNOWN_GENERATE = "true" into wrangler.toml';
    return [note(`${where}: there is none${redirects}, and so nothing to announce the media domain in`, cure)];
  }
  if (state === 'broken') {
    const said = `${where} answers with ${problem}${redirects}`;
    const cure = isWalled(answer) ? BOT_WALL : 'Mend it on its host: the edge passes on untouched what it can\'t read';
    return [announces ? bad(said, cure) : note(said, cure)];
  }
  const checks = [ok(`${where} names ${base.url}${redirects}`)];
  if (name === 'client' && !answer.headers.has('access-control-allow-origin')) {
    checks.push(note(`${where} has no CORS header: browsers can't read it`, 'A route for well-known mends it'));
  }
  const field = MEDIA_FIELDS.find((member) => Object.hasOwn(object, member));
  if (field !== undefined && announces && !JSON.stringify(object[field]).includes(new URL(mediaUrl).host)) {
    checks.push(bad(`${where} names another media server already, and the edge leaves it so`, `Take ${field} out of the document, or give its host as the media host`));
  }
  return checks;
}

function checkHomeserver({ versions, base, tried }) {
  const level = versions === undefined ? bad : note;
  const others = tried.map(({ url, versions: answer }) => {
    const { status, object, problem } = readObject(answer);
    const said = problem ?? `no list of versions (status ${status}, ${errcode(object)})`;
    const cure = isWalled(answer) ? BOT_WALL : 'Give the address of the homeserver: --homeserver-url https://…';
    return level(`${url}/_matrix/client/versions answers with ${said}`, cure);
  });
  if (versions === undefined) return others;
  const checks = [...others, ok(`the homeserver at ${base.url} answers`)];
  if (base.scheme === 'http') checks.push(note(`${base.url} is near this machine, and out of Cloudflare's reach`, 'Give the address that it has on the Internet'));
  return checks;
}

function checkMedia({ versions, anonymous, limit }) {
  const { versions: spoken, unstable_features: features } = readObject(versions).object;
  const newest = spoken.filter((version) => /^v1\.[0-9]{1,4}$/.test(version)).map((version) => Number(version.slice(3)));
  const hasMedia = newest.some((minor) => minor >= 11) || features?.['org.matrix.msc3916.stable'] === true;
  const checks = [
    hasMedia
      ? ok('it has authenticated media (Matrix 1.11 or MSC3916)')
      : note('it has no authenticated media (Matrix 1.11): only legacy media will go through the edge', 'Update the homeserver'),
  ];
  const { status, object, problem } = readObject(anonymous);
  if (isWalled(anonymous)) checks.push(bad(`its media endpoints answer with ${problem}`, BOT_WALL));
  else if (status === 401 && object) checks.push(ok('its media endpoints refuse those who have no token'));
  else if (hasMedia) checks.push(note(`its media endpoints answer anonymous readers with ${problem ?? `status ${status}`} instead of 401`));
  return [...checks, checkLimit(limit)];
}

function checkLimit(limit) {
  if (limit === undefined) {
    return note('its upload limit is told to users only', 'Put an access token into MATRIX_ACCESS_TOKEN to have it checked; it is neither shown nor kept');
  }
  const { status, object, problem } = readObject(limit);
  const size = object?.['m.upload.size'];
  if (status !== 200 || !Number.isSafeInteger(size)) {
    return note(`it does not tell its upload limit: status ${status}, ${problem ?? errcode(object)}`);
  }
  if (size > SMALLEST_BODY_LIMIT_BYTES) {
    return note(`it takes uploads of ${size} bytes`, 'Cloudflare takes 100 MB on its Free and Pro plans, 200 MB on Business: what is larger fails at the edge');
  }
  return ok(`it takes uploads of ${size} bytes, which Cloudflare takes too`);
}

function checkKey({ base, key, federation, federationKey }, { serverName }) {
  const at = (url, answer, level) => {
    const { status, object, problem } = readObject(answer);
    const where = `${url}/_matrix/key/v2/server`;
    if (typeof object?.server_name !== 'string') {
      const said = problem ?? `status ${status}, ${errcode(object)}`;
      return level(`${where} answers with ${said}`, isWalled(answer) ? BOT_WALL : 'Other servers can\'t fetch media without it');
    }
    if (object.server_name === serverName.text) return ok(`${where} is ${serverName.text}'s`);
    return bad(`${where} is ${printable(object.server_name)}'s, not ${serverName.text}'s`, 'Give the homeserver\'s own server name');
  };
  const checks = [at(base.url, key, isWalled(key) ? bad : note)];
  if (federation.url !== base.url) checks.push(at(federation.url, federationKey, note));
  return checks;
}

function checkFront(found, { shape, publicHost }) {
  const { base, versions, federation } = found;
  const checks = [];
  if (isBehindEdge(found)) {
    checks.push(
      shape !== 'media' && base.host === publicHost
        ? ok(`${base.url} leads through the edge already`)
        : bad(`${base.url} leads back to the edge itself`, 'Give the address of the homeserver behind it: --homeserver-url https://…'),
    );
  }
  if (shape === 'media') {
    if (versions && isProxied(versions)) {
      checks.push(note(`${base.url} is behind Cloudflare's proxy: its rules apply to the edge's requests too`));
    }
    return checks;
  }
  if (versions && base.host === publicHost && !isProxied(versions)) {
    checks.push(note(`${publicHost} is not behind Cloudflare's proxy`, 'Its routes take effect when its DNS record is set to "proxied"'));
  }
  if (!isProxiedPort(federation.port)) {
    checks.push(
      note(
        `other servers come to ${federation.host}, port ${federation.port}, which Cloudflare does not proxy: their downloads won't go through the edge`,
        `Let /.well-known/matrix/server say "${federation.host}:443", if the homeserver answers there`,
      ),
    );
  } else if (federation.port !== 443) {
    checks.push(note(`other servers come to port ${federation.port}: whether routes apply there has not been tried`));
  }
  return checks;
}

function checkZones({ base }, { zones, mediaHost, routes = [] }) {
  const checks = [...zones].flatMap(([host, { zone, isCloudflare, isGuess }]) => {
    if (isGuess) return [note(`${host} is taken to be in the zone ${zone}`, 'If that is wrong, give yours by --zone')];
    if (isCloudflare !== false) return [];
    return [note(`the zone ${zone} of ${host} is not at Cloudflare`, 'Add it there, and change its name servers: routes and domains need it')];
  });
  // A fetch passes by the routes of its own zone, and is taken by those of another.
  const isRouted = routes.some(({ pattern }) => pattern.startsWith(`${base?.host}/_matrix/`));
  const zoneOf = (host) => zones.get(host)?.zone;
  if (isRouted && mediaHost !== undefined && zoneOf(mediaHost) !== zoneOf(base.host)) {
    checks.push(
      bad(
        `${mediaHost} and ${base.host} are in two zones: what the edge asks ${base.host} from there would come back to it`,
        'Take a media host in the same zone, or give a name of the homeserver\'s that has no route by --homeserver-url',
      ),
    );
  }
  return checks;
}

function ok(what) {
  return { level: 'ok', what };
}

function note(what, cure) {
  return { level: 'note', what, cure };
}

function bad(what, cure) {
  return { level: 'bad', what, cure };
}
