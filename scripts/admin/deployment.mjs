// What `make deploy` refuses, and the commands that it comes to.
import { ODD_PORT, isProxiedPort } from './cloudflare.mjs';
import { parseBaseUrl } from './names.mjs';

/** Why a configuration must not be deployed: sentences for the admin. */
export function flaws({ vars, routes }) {
  const values = [...Object.entries(vars), ...routes.map(({ pattern }) => ['a route', pattern])];
  const found = values
    .filter(([, value]) => /(^|[/.])example\.(com|net|org)\b/.test(value))
    .map(([name, value]) => `${name} is still an example (${value})`);
  if (routes.length === 0) found.push('no route leads to the Worker');
  for (const name of ['HOMESERVER_URL', 'SERVER_NAME', 'MEDIA_URL']) {
    if (!vars[name]) found.push(`${name} is not set`);
  }
  for (const [name, { value, problem }] of addresses(vars)) {
    if (problem) found.push(`${name} ${problem}`);
    else if (value.isNear)
      found.push(`${name} is out of Cloudflare's reach (${vars[name]})`);
  }
  return found;
}

/** What is deployed, and may not work: sentences for the admin. */
export function doubts({ vars }) {
  return addresses(vars)
    .filter(([, { value }]) => value && !isProxiedPort(value.port))
    .map(([name, { value }]) => `${name} is at port ${value.port}. ${ODD_PORT}`);
}

/** The addresses in a configuration, by the names of their variables. */
function addresses(vars) {
  return ['HOMESERVER_URL', 'PUBLIC_URL', 'MEDIA_URL', 'WELL_KNOWN_URL']
    .filter((name) => vars[name])
    .map((name) => [name, parseBaseUrl(vars[name])]);
}

/** A share of the requests in percent, for a gradual deployment. */
export function parseGradual(text) {
  return /^[1-9][0-9]?$/.test(text)
    ? { value: Number(text) }
    : { problem: 'must be a whole percentage from 1 to 99' };
}

/** The version that most requests go to, of what `wrangler deployments status --json` tells. */
export function currentVersion(status) {
  const versions = JSON.parse(status).versions;
  return versions.reduce((most, version) => (version.percentage > most.percentage ? version : most))
    .version_id;
}

/** The version in the lines that wrangler writes about what it did. */
export function uploadedVersion(lines) {
  const events = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return events.find(({ type }) => type === 'version-upload').version_id;
}

/** How the requests are split between two versions: what `wrangler versions deploy` takes. */
export function split(uploaded, current, percent) {
  return [`${uploaded}@${percent}`, `${current}@${100 - percent}`];
}
