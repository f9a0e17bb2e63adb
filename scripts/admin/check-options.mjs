// The command line of `scripts/check`, and what wrangler.toml says where it is silent.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { parseBaseUrl, parseDomain, parseServerName } from './names.mjs';
import { accept } from './options.mjs';
import { EXIT, Refusal } from './refusal.mjs';
import { readWranglerToml } from './wrangler-config.mjs';

export const HELP = `Checks the deployed edge from outside, as readers and the admin meet it.

  make check                                 with the addresses in wrangler.toml
  scripts/check --media-url https://media.example.com --server-name example.com

Addresses (taken from wrangler.toml, where a flag is missing)
  --media-url URL         MEDIA_URL: where media, the status and the self-test are
  --server-name NAME      SERVER_NAME: what stands behind the colon of your users' IDs
  --well-known-url URL    the host of the well-known documents, if it isn't the server name's
  --host HOST             a host on which the media paths have routes; may be repeated
  --env NAME              an environment of wrangler.toml
  --config FILE           another file than wrangler.toml

The well-known documents, which no deployment may change but for the member that the edge adds
  --save FILE             write them as they are now into FILE, and do nothing else
  --compare FILE          compare them with what --save wrote before the deployment

In the environment alone; neither is shown or kept
  MATRIX_ACCESS_TOKEN     a user's access token: two small files are uploaded and read. They stay on
                          the homeserver, as all uploads do
  ADMIN_TOKEN             the Worker's secret of this name: the self-test is run too

Exit codes
  0    no error was found
  1    an error was found, or something failed
  2    a flag makes no sense`;

const FLAGS = {
  'media-url': { type: 'string' },
  'server-name': { type: 'string' },
  'well-known-url': { type: 'string' },
  host: { type: 'string', multiple: true },
  env: { type: 'string' },
  config: { type: 'string' },
  save: { type: 'string' },
  compare: { type: 'string' },
  help: { type: 'boolean', default: false },
};

/** Media paths that a route may lead to the Worker, each with one that the cache is not asked for. */
const MEDIA_PATHS = [
  ['/_matrix/media/', '/_matrix/media/v3/config'],
  ['/_matrix/client/v1/media/', '/_matrix/client/v1/media/config'],
  ['/_matrix/federation/v1/media/', '/_matrix/federation/v1/media/edge-check'],
];

/**
 * Returns what is to be checked: `{ isHelp }`, or
 *
 * - `mediaUrl`, `serverName`, `wellKnownUrl`: addresses, as text;
 * - `routed`: URLs of media paths that must lead to the Worker;
 * - `save`, `before`: a file for the documents, or what was written into one;
 * - `token`, `adminToken`: the secrets, if there are any.
 *
 * Throws a `Refusal` for what makes no sense.
 */
export async function readCheckOptions(argv, { env, file }) {
  const flags = readFlags(argv);
  if (flags.help) return { isHelp: true };
  const needsFile = flags['media-url'] === undefined || flags['server-name'] === undefined;
  const { vars, routes } =
    needsFile || flags.config !== undefined || flags.env !== undefined
      ? await readToml(flags.config ?? file, flags.env)
      : { vars: {}, routes: [] };
  const parsed = (flag, variable, parse) => {
    const text = flags[flag] ?? vars[variable];
    if (text === undefined || text === '')
      throw new Refusal(EXIT.usage, `--${flag} is missing, and so is ${variable}: see --help`);
    return accept(flags[flag] === undefined ? variable : `--${flag}`, parse(text));
  };
  const mediaUrl = parsed('media-url', 'MEDIA_URL', parseBaseUrl).url;
  const serverName = parsed('server-name', 'SERVER_NAME', parseServerName);
  const own = `https://${serverName.host.toLowerCase()}`;
  const wellKnown = flags['well-known-url'] ?? vars.WELL_KNOWN_URL ?? own;
  const hosts = (flags.host ?? []).map((host) => accept('--host', parseDomain(host)));
  return {
    mediaUrl,
    serverName: serverName.text,
    wellKnownUrl: accept('--well-known-url', parseBaseUrl(wellKnown)).url,
    routed: routedUrls(mediaUrl, hosts, flags.host === undefined ? routes : []),
    save: flags.save,
    before: flags.compare === undefined ? undefined : await readSaved(flags.compare),
    token: secret(env, 'MATRIX_ACCESS_TOKEN'),
    adminToken: secret(env, 'ADMIN_TOKEN'),
  };
}

/** The URLs of media paths that must lead to the Worker: on the media domain, and by each route. */
export function routedUrls(mediaUrl, hosts, routes) {
  const all = hosts.flatMap((host) => MEDIA_PATHS.map(([, path]) => `https://${host}${path}`));
  const byRoute = routes.flatMap(({ pattern }) => {
    const known = MEDIA_PATHS.find(([prefix]) => pattern.includes(`/${prefix.slice(1)}`));
    return known === undefined ? [] : [`https://${pattern.split('/')[0]}${known[1]}`];
  });
  return [...new Set([`${mediaUrl}${MEDIA_PATHS[1][1]}`, ...all, ...byRoute])];
}

function readFlags(argv) {
  try {
    return parseArgs({ args: argv, options: FLAGS }).values;
  } catch (error) {
    throw new Refusal(EXIT.usage, `${error.message}: see --help`);
  }
}

async function readToml(path, env) {
  try {
    return await readWranglerToml(path, env);
  } catch (error) {
    throw new Refusal(EXIT.failed, `${path} can't be read: ${error.message}`);
  }
}

async function readSaved(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new Refusal(EXIT.failed, `${path} can't be read: ${error.message}`);
  }
}

/** A secret of the environment; none where it is empty. */
function secret(env, name) {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  if (!/^[\x21-\x7e]+$/.test(text))
    throw new Refusal(EXIT.usage, `${name} has characters that no token has`);
  return text;
}
