// The command line of `scripts/configure`, and the words for when it says nothing useful.
import { parseArgs } from 'node:util';

import { parseBaseUrl, parseDomain, parseServerName } from './names.mjs';
import { EXIT, Refusal } from './refusal.mjs';

export const HELP = `Finds your homeserver and writes wrangler.toml's variables and routes.

  make configure                             asks for what it needs
  scripts/configure --server-name example.com --media-host media.example.com --layout both --yes

What you decide (asked for, or taken from wrangler.toml, where a flag is missing)
  --server-name NAME      what stands behind the colon of your users' IDs
  --layout LAYOUT         media: a domain for media alone, announced by well-known
                          same-host: the media paths of the homeserver's own host
                          both
  --media-host HOST       the domain for media alone

Where things are (found by themselves, if well-known says so)
  --homeserver-url URL    the homeserver, as the edge reaches it
  --public-host HOST      the host that clients use, where the edge reaches the homeserver at
                          another: for routes, status, purge and what well-known names
  --well-known-url URL    the host of the well-known documents, if it isn't the server name's
  --well-known WHAT       route: send well-known through the edge too; leave: don't
  --zone ZONE             a zone of yours on Cloudflare, if it can't be found; may be repeated
  --token TOKEN           a user's access token, to read the upload limit; better in the
                          environment, as MATRIX_ACCESS_TOKEN
  ORIGIN_HEADERS          in the environment: what the Worker's secret of this name will be,
                          where the homeserver can't be asked without
                          Neither of them is shown or written

How it goes about it
  --yes                   write without asking
  --overwrite, --keep     what was written by hand is overwritten, or kept, without asking
  --despite-checks        write though a check went wrong
  --dry-run               write nothing
  --config FILE           another file than wrangler.toml

Exit codes
  0    written, or nothing to write
  1    something failed
  2    a flag or an answer makes no sense
  3    not written: it was declined, or somebody must decide and there is no terminal
  4    not written: a check went wrong
  130  not written: interrupted`;

const FLAGS = {
  'server-name': { type: 'string' },
  layout: { type: 'string' },
  'media-host': { type: 'string' },
  'homeserver-url': { type: 'string' },
  'public-host': { type: 'string' },
  'well-known-url': { type: 'string' },
  'well-known': { type: 'string' },
  zone: { type: 'string', multiple: true, default: [] },
  token: { type: 'string' },
  config: { type: 'string' },
  yes: { type: 'boolean', default: false },
  overwrite: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
  'despite-checks': { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

/** The flags as values; throws a `Refusal` that names the flag. */
export function parseOptions(argv, env) {
  const flags = readFlags(argv);
  const parsed = (name, parse) =>
    flags[name] === undefined ? undefined : accept(`--${name}`, parse(flags[name]));
  if (flags.overwrite && flags.keep)
    throw new Refusal(EXIT.usage, 'either --overwrite or --keep, not both');
  return {
    serverName: parsed('server-name', parseServerName),
    layout: parsed('layout', parseLayout),
    mediaHost: parsed('media-host', parseDomain),
    homeserverUrl: parsed('homeserver-url', parseBaseUrl),
    publicHost: parsed('public-host', parseDomain),
    wellKnownUrl: parsed('well-known-url', parseBaseUrl),
    announces: parsed('well-known', parseWellKnown),
    zones: flags.zone.map((zone) => accept('--zone', parseDomain(zone))),
    token: parseToken(flags.token ?? env.MATRIX_ACCESS_TOKEN),
    originHeaders: parseHeaders(env.ORIGIN_HEADERS),
    config: flags.config,
    writes: flags.yes,
    handEdits: flags.overwrite ? 'overwrite' : flags.keep ? 'keep' : undefined,
    despiteChecks: flags['despite-checks'],
    isDryRun: flags['dry-run'],
    isHelp: flags.help,
  };
}

/** A parsed value, or a refusal that names where the text came from. */
export function accept(source, { value, problem }) {
  if (problem !== undefined) throw new Refusal(EXIT.usage, `${source} ${problem}`);
  return value;
}

export function parseLayout(text) {
  const layouts = ['media', 'same-host', 'both'];
  return layouts.includes(text)
    ? { value: text }
    : { problem: `must be one of ${layouts.join(', ')}` };
}

function parseWellKnown(text) {
  const choices = { route: true, leave: false };
  return Object.hasOwn(choices, text)
    ? { value: choices[text] }
    : { problem: 'must be route or leave' };
}

/** A token fit for a header. The refusal does not repeat it. */
function parseToken(text) {
  if (text === undefined || text === '') return undefined;
  return accept(
    'the access token',
    /^[\x21-\x7e]+$/.test(text) ? { value: text } : { problem: 'has characters that no token has' },
  );
}

/** The secret that the Worker has under the same name. The refusal does not repeat it either. */
function parseHeaders(text) {
  if (text === undefined || text === '') return undefined;
  try {
    const headers = JSON.parse(text);
    if (Object.values(headers).every((value) => typeof value === 'string')) {
      return Object.fromEntries(new Headers(headers));
    }
  } catch {
    // What is wrong is told below.
  }
  throw new Refusal(EXIT.usage, 'ORIGIN_HEADERS must be a JSON object of header names and texts');
}

function readFlags(argv) {
  try {
    return parseArgs({ args: argv, options: FLAGS }).values;
  } catch (error) {
    // Not what it found instead: that may be a token.
    const flag = /'(--?[a-z-]+)/.exec(error.message)?.[1];
    throw new Refusal(
      EXIT.usage,
      `${flag ? `${flag} can't be used so` : 'only flags are taken'}: see --help`,
    );
  }
}
