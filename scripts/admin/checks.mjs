// What was found, said to the admin, one check after the other.
import { checkLoop, checkOrigin, checkRoutes, checkZones } from './cloudflare.mjs';
import { bad, note, ok } from './levels.mjs';
import { parseBaseUrl, printable } from './names.mjs';
import { errcode, isWalled, readObject } from './reading.mjs';

/** The largest request body on Cloudflare's Free and Pro plans, in bytes. */
const SMALLEST_BODY_LIMIT_BYTES = 100_000_000;

const MEDIA_FIELDS = ['m.media_server', 'com.beeper.msc3859.m.media_server'];

const BOT_WALL =
  'Let programs in: a rule in front of it must skip /.well-known/matrix/* and /_matrix/*';

/**
 * What speaks for and against a deployment.
 *
 * @param found as discover.mjs returns it
 * @param wanted as wanted.mjs settles it
 */
export function check(found, wanted) {
  const checks = [
    ...checkDocument('client', found, wanted),
    ...checkDocument('server', found, wanted),
    ...checkHomeserver(found),
  ];
  if (found.base === undefined) return checks;
  if (found.versions !== undefined) checks.push(...checkMedia(found));
  return [
    ...checks,
    ...checkKey(found, wanted),
    ...checkLoop(found, wanted),
    ...checkAddresses(found, wanted),
    ...(hasOwnOrigin(found, wanted) || wanted.layout === 'media' ? checkOrigin(found) : []),
    ...(wanted.layout === 'media' ? [] : checkRoutes(found, wanted)),
    ...checkZones(found, wanted),
  ];
}

function hasOwnOrigin({ base }, { publicHost }) {
  return base.host !== publicHost;
}

/** Whether the documents keep to themselves where the edge alone asks the homeserver. */
function checkAddresses(found, wanted) {
  if (!hasOwnOrigin(found, wanted)) return [];
  const { base, documents } = found;
  const { publicUrl, publicHost } = wanted;
  const names = Object.keys(documents).filter((name) => documents[name].base?.host === base.host);
  return [
    ok(`clients know the homeserver as ${publicUrl.url}, and the edge asks it at ${base.url}`),
    ...names.map((name) =>
      note(
        `/.well-known/matrix/${name} sends everyone to ${base.host}, past the edge`,
        `Let it name ${publicHost}`,
      ),
    ),
  ];
}

function checkDocument(name, { documents }, { announces, mediaUrl }) {
  const { answer, state, problem, object, base } = documents[name];
  const where = printable(answer.hops[0] ?? answer.url);
  const redirected = answer.hops.length > 0 ? ` (redirected to ${printable(answer.url)})` : '';
  if (state === 'absent') {
    const what = `${where}: there is none${redirected}`;
    if (!announces) return [note(what)];
    const cure = 'Put one on its host, or write WELL_KNOWN_GENERATE = "true" into wrangler.toml';
    return [note(`${what}, and so nothing to announce the media domain in`, cure)];
  }
  if (state === 'broken') {
    const unreadable = "Fix it on its host: the edge passes on untouched what it can't read";
    const level = announces ? bad : note;
    const what = `${where} answers with ${problem}${redirected}`;
    return [level(what, isWalled(answer) ? BOT_WALL : unreadable)];
  }
  const checks = [ok(`${where} names ${base.url}${redirected}`)];
  if (name === 'client' && !answer.headers.has('access-control-allow-origin')) {
    const cure = 'A route for well-known fixes it';
    checks.push(note(`${where} has no CORS header: browsers can't read it`, cure));
  }
  const field = MEDIA_FIELDS.find((member) => Object.hasOwn(object, member));
  if (announces && field !== undefined && mediaServer(name, object[field]) !== mediaUrl) {
    const what = `${where} names another media server already, and the edge leaves it so`;
    checks.push(bad(what, `Take ${field} out of it, or give its host as the media host`));
  }
  return checks;
}

/** The base URL that a media server field says, in one document or the other. */
function mediaServer(name, field) {
  return parseBaseUrl(String(name === 'client' ? field?.base_url : `https://${field}`)).value?.url;
}

function checkHomeserver({ versions, base, tried }) {
  const level = versions === undefined ? bad : note;
  const others = tried.map(({ url, versions: answer }) => {
    const { status, object, problem } = readObject(answer);
    const said = problem ?? `no list of versions (status ${status}, ${errcode(object)})`;
    const elsewhere = 'Give the address of the homeserver: --homeserver-url https://…';
    const what = `${url}/_matrix/client/versions answers with ${said}`;
    return level(what, isWalled(answer) ? BOT_WALL : elsewhere);
  });
  if (versions === undefined) return others;
  const checks = [...others, ok(`the homeserver at ${base.url} answers`)];
  if (base.isNear) {
    const cure = 'Give the address that it has on the Internet';
    checks.push(note(`${base.url} is near this machine, and out of Cloudflare's reach`, cure));
  }
  return checks;
}

function checkMedia({ versions, anonymous, limit }) {
  const { versions: spoken, unstable_features: features } = readObject(versions).object;
  const newest = spoken
    .filter((version) => /^v1\.[0-9]{1,4}$/.test(version))
    .map((version) => Number(version.slice(3)));
  const hasMedia =
    newest.some((minor) => minor >= 11) || features?.['org.matrix.msc3916.stable'] === true;
  const old =
    'it has no authenticated media (Matrix 1.11): only legacy media goes through the edge';
  const checks = [
    hasMedia
      ? ok('it has authenticated media (Matrix 1.11 or MSC3916)')
      : note(old, 'Update the homeserver'),
  ];
  const { status, object, problem } = readObject(anonymous);
  if (isWalled(anonymous)) {
    checks.push(bad(`its media endpoints answer with ${problem}`, BOT_WALL));
  } else if (status === 401 && object) {
    checks.push(ok('its media endpoints refuse those who have no token'));
  } else if (hasMedia) {
    const said = problem ?? `status ${status}`;
    checks.push(note(`its media endpoints answer with ${said} where 401 is due`));
  }
  return [...checks, checkLimit(limit)];
}

function checkLimit(limit) {
  if (limit === undefined) {
    const cure = 'A token in MATRIX_ACCESS_TOKEN has it checked; it is neither shown nor kept';
    return note('its upload limit is told to users only', cure);
  }
  const { status, object, problem } = readObject(limit);
  const size = object?.['m.upload.size'];
  if (status !== 200 || !Number.isSafeInteger(size)) {
    const said = problem ?? `status ${status}, ${errcode(object)}`;
    return note(`its upload limit could not be read: it answers with ${said}`);
  }
  if (size > SMALLEST_BODY_LIMIT_BYTES) {
    const cure =
      'Cloudflare takes 100 MB on Free and Pro, 200 MB on Business: see MAX_UPLOAD_BYTES';
    return note(`it takes uploads of ${size} bytes`, cure);
  }
  return ok(`it takes uploads of ${size} bytes, which Cloudflare takes too`);
}

function checkKey({ base, key, federation, federationKey }, { serverName }) {
  const at = (url, answer, level) => {
    const { status, object, problem } = readObject(answer);
    const where = `${url}/_matrix/key/v2/server`;
    if (typeof object?.server_name !== 'string') {
      const said = problem ?? `status ${status}, ${errcode(object)}`;
      const cure = isWalled(answer) ? BOT_WALL : "Other servers can't fetch media without it";
      return level(`${where} answers with ${said}`, cure);
    }
    if (object.server_name === serverName.text) return ok(`${where} is ${serverName.text}'s`);
    const what = `${where} is ${printable(object.server_name)}'s, not ${serverName.text}'s`;
    return bad(what, "Give the homeserver's own server name");
  };
  const checks = [at(base.url, key, isWalled(key) ? bad : note)];
  if (federation.url !== base.url) checks.push(at(federation.url, federationKey, note));
  return checks;
}
