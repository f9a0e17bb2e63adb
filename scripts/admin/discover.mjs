// Finds the homeserver behind a server name and asks it everything that a plan depends on. What
// the answers mean is said in checks.mjs.
import { federationBase, readClientDocument, readObject, readServerDocument } from './reading.mjs';

const LOOP_HEADER = 'X-Matrix-Media-Edge';

/**
 * Returns what was found:
 *
 * - `documents`: the well-known documents, `client` and `server`, as reading.mjs has them;
 * - `base`, `versions`: the homeserver's address, if one was found, and what it answered there;
 * - `publicVersions`: what the address that clients know answered, if that is another;
 * - `tried`: the addresses that did not speak Matrix, with their answers;
 * - `anonymous`, `limit`, `loop`: the media config endpoint, asked without a token, with one, and
 *   as the edge would ask;
 * - `key`: the federation key endpoint there;
 * - `federation`, `federationKey`: where servers go, and the key endpoint there.
 *
 * @param names `{ serverName, wellKnownUrl, homeserverUrl?, publicUrl?, originHeaders?, token? }`,
 *   parsed
 * @param probe as in probe.mjs
 */
export async function discover(names, probe) {
  const { serverName, wellKnownUrl, homeserverUrl, publicUrl, originHeaders, token } = names;
  // The admin's secrets are for an address that the admin gave.
  const ask = (url, headers) =>
    probe(url, { headers: { ...(homeserverUrl && originHeaders), ...headers } });
  const wellKnown = (name) =>
    probe(`${wellKnownUrl.url}/.well-known/matrix/${name}`, { follow: true });
  const [clientAnswer, serverAnswer] = await Promise.all([
    wellKnown('client'),
    wellKnown('server'),
  ]);
  const client = readClientDocument(clientAnswer);
  const server = readServerDocument(serverAnswer, wellKnownUrl.scheme);
  const announced = [client.base, server.base, wellKnownUrl].filter((base) => base !== undefined);
  const homeserver = await findHomeserver(homeserverUrl ? [homeserverUrl] : announced, ask);
  // An address that the admin gave stands, whatever it answers.
  const base = homeserver.base ?? homeserverUrl;
  const found = { documents: { client, server }, ...homeserver, base };
  if (base === undefined) return found;

  const config = `${base.url}/_matrix/client/v1/media/config`;
  const keyOf = ({ url }) => `${url}/_matrix/key/v2/server`;
  const federation = server.federation ?? federationBase(wellKnownUrl.scheme, serverName);
  const known = publicUrl ?? client.base;
  const isOther = known !== undefined && known.url !== base.url;
  const [anonymous, limit, loop, key, federationKey, publicVersions] = await Promise.all([
    ask(config),
    token === undefined ? undefined : ask(config, { Authorization: `Bearer ${token}` }),
    ask(config, { [LOOP_HEADER]: serverName.text }),
    ask(keyOf(base)),
    probe(keyOf(federation)),
    isOther ? probe(`${known.url}/_matrix/client/versions`) : undefined,
  ]);
  return { ...found, anonymous, limit, loop, key, federation, federationKey, publicVersions };
}

/** The first address that speaks Matrix. */
async function findHomeserver(candidates, ask) {
  const tried = [];
  for (const base of candidates) {
    if (tried.some(({ url }) => url === base.url)) continue;
    const versions = await ask(`${base.url}/_matrix/client/versions`);
    if (Array.isArray(readObject(versions).object?.versions)) return { base, versions, tried };
    tried.push({ url: base.url, versions });
  }
  return { tried };
}
