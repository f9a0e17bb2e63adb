// `make configure`: asks what the admin wants, finds the rest, shows what would change in
// wrangler.toml, and writes it. What it decides on is decided in plan.mjs and checks.mjs.
import { readFile, rename, writeFile } from 'node:fs/promises';

import { check } from './checks.mjs';
import { discover } from './discover.mjs';
import { guessZone, isDomain, parseBaseUrl, parseDomain, parseServerName } from './names.mjs';
import { accept, HELP, parseOptions, parseShape } from './options.mjs';
import { applyEdits, hasHostRoutes, hasMediaDomain, isResult, namesIn, planEdits, routesOf } from './plan.mjs';
import { EXIT, Refusal } from './refusal.mjs';
import { describeChecks, describeDeployment, describeEdits, diff } from './summary.mjs';
import { readWranglerText } from './wrangler-config.mjs';
import { zonesOf } from './zones.mjs';

/**
 * Runs once and returns the exit code.
 *
 * @param world `{ env, file, say, terminal?, probe, findZone }`: `file` is wrangler.toml,
 *   `terminal` asks somebody (see terminal.mjs), `probe` and `findZone` ask the network.
 */
export async function configure(argv, world) {
  try {
    return await run(parseOptions(argv, world.env), world);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    world.say(`configure: ${error.message}`);
    return error.code;
  }
}

async function run(options, world) {
  if (options.isHelp) {
    world.say(HELP);
    return EXIT.done;
  }
  const path = options.config ?? world.file;
  const text = await readFile(path, 'utf8').catch((error) => fail(`${path} can't be read: ${error.code}`));
  const present = await readWranglerText(text).catch((error) => fail(`${path} can't be understood: ${error.message}`));

  const names = await settleNames(options, namesIn(present), world);
  const found = await discover(names, world.probe);
  const wanted = await settleWanted(names, found, present, world);
  const checks = check(found, wanted);
  world.say(`${describeChecks(checks)}\n`);
  if (found.base === undefined) {
    throw new Refusal(EXIT.unfit, 'no homeserver was found; where it is can be given by --homeserver-url');
  }

  const edits = await settleHandEdits(planEdits(present, wanted), options, world);
  const edited = applyEdits(text, edits);
  const result = await readWranglerText(edited).catch(() => undefined);
  if (!result || !isResult(edits, present, result)) {
    fail(`${path} is laid out in a way that can't be edited here. What is to be changed:\n${edits.flatMap(diff).join('\n')}`);
  }
  world.say(edits.length === 0 ? `${path} is as it should be.\n` : `${describeEdits(edits, path)}\n`);
  world.say(describeDeployment(result, wanted));
  await settleWriting(checks, edits, options, world);
  if (edits.length > 0 && !options.isDryRun) await replaceFile(path, edited);
  return EXIT.done;
}

/** What the admin decides, from flags, the file and answers. */
async function settleNames(options, written, { terminal }) {
  const settle = async (flag, given, before, parse, question) => {
    if (given !== undefined) return given;
    if (terminal) return terminal.ask(question, { parse, proposal: before });
    if (before === undefined) throw new Refusal(EXIT.usage, `${flag} is missing: see --help`);
    return accept(flag, parse(before));
  };
  const serverName = await settle('--server-name', options.serverName, written.serverName, parseServerName,
    'The server name (what stands behind the colon of your users\' IDs)');
  const shape = await settle('--shape', options.shape, written.shape, parseShape,
    'The shape (media: a domain for media alone; same-host: the media paths of the homeserver\'s own host; both)');
  const mediaHost = hasMediaDomain(shape)
    ? await settle('--media-host', options.mediaHost, written.mediaHost, parseDomain, 'The domain for media alone')
    : undefined;
  const url = (given, before) => given ?? (before === undefined ? undefined : accept(before, parseBaseUrl(before)));
  const wellKnownUrl = url(options.wellKnownUrl, written.wellKnownUrl) ?? accept('the server name', parseBaseUrl(`https://${serverName.host}`));
  return {
    ...options,
    serverName,
    shape,
    mediaHost,
    wellKnownUrl,
    homeserverUrl: url(options.homeserverUrl, written.homeserverUrl),
    announces: hasMediaDomain(shape) && (options.announces ?? written.announces ?? true),
  };
}

/** What wrangler.toml should say, and what goes with it. */
async function settleWanted(names, found, present, { findZone }) {
  const { serverName, shape, mediaHost, wellKnownUrl, announces } = names;
  const { base, documents, federation } = found;
  const publicHost = names.publicHost ?? documents.client.base?.host ?? base?.host;
  const mediaUrl = hasMediaDomain(shape) ? `https://${mediaHost}` : base?.url;
  const wanted = { ...names, publicHost, mediaUrl, wellKnownHost: wellKnownUrl.host, zones: new Map() };
  if (base === undefined) return wanted;

  refuseClashes(wanted, base);
  const given = names.zones;
  const guess = (host) => guessZone(host, serverName.host.toLowerCase());
  const hosts = routesOf({ ...wanted, federation }, () => undefined).map(({ pattern }) => pattern.split('/')[0]);
  const zones = await zonesOf([...new Set(hosts)], { given, guess, find: findZone });
  const isOwnWellKnown = wellKnownUrl.url === `https://${serverName.host.toLowerCase()}`;
  return {
    ...wanted,
    zones,
    variables: {
      HOMESERVER_URL: base.url,
      SERVER_NAME: serverName.text,
      MEDIA_URL: mediaUrl,
      WELL_KNOWN_URL: isOwnWellKnown && present.vars.WELL_KNOWN_URL === undefined ? undefined : wellKnownUrl.url,
    },
    routes: routesOf({ ...wanted, federation }, (host) => zones.get(host).zone),
  };
}

/** Shapes that can't be, whatever the homeserver answers. */
function refuseClashes({ shape, mediaHost, publicHost, serverName, announces, wellKnownHost }, base) {
  const refuse = (message) => {
    throw new Refusal(EXIT.usage, message);
  };
  if (hasMediaDomain(shape) && [publicHost, base.host, serverName.host.toLowerCase(), wellKnownHost].includes(mediaHost)) {
    refuse(`${mediaHost} serves other things than media already: the media host must be a name of its own`);
  }
  if (hasHostRoutes(shape) && !isDomain(publicHost)) {
    refuse(`${publicHost} can't have routes: give the host that clients use by --public-host`);
  }
  if (announces && !isDomain(serverName.host)) {
    refuse(`${serverName.host} can't have a route: leave well-known as it is by --well-known leave`);
  }
}

/** The edits that are left when all that was written by hand has been decided on. */
async function settleHandEdits(edits, { handEdits }, { terminal }) {
  const byHand = edits.filter(({ isHandEdit }) => isHandEdit);
  if (byHand.length === 0 || handEdits === 'overwrite') return edits;
  if (handEdits === 'keep') return edits.filter((edit) => !edit.isHandEdit);
  if (!terminal) {
    const lines = byHand.flatMap(diff).join('\n');
    throw new Refusal(EXIT.undecided, `these were written by hand; --overwrite or --keep decides on them:\n${lines}`);
  }
  const settled = [];
  for (const edit of edits) {
    if (!edit.isHandEdit || (await terminal.confirm(`Written by hand:\n${diff(edit).join('\n')}\nChange it?`))) settled.push(edit);
  }
  return settled;
}

/** Throws unless all is well and, where there is something to write, somebody wants it written. */
async function settleWriting(checks, edits, { writes, despiteChecks, isDryRun }, { terminal }) {
  const isUnfit = !despiteChecks && checks.some(({ level }) => level === 'bad');
  const isSettled = isDryRun || writes || edits.length === 0;
  if (isUnfit && (isSettled || !terminal)) {
    throw new Refusal(EXIT.unfit, 'a check went wrong, as told above; --despite-checks writes all the same');
  }
  if (isSettled) return;
  const question = isUnfit ? 'A check went wrong, as told above. Write it all the same?' : 'Write it?';
  if (!terminal) throw new Refusal(EXIT.undecided, 'nothing was written: --yes writes it');
  if (!(await terminal.confirm(question))) throw new Refusal(EXIT.undecided, 'nothing was written');
}

/** Replaces the file in one step: an interruption leaves the old one. */
async function replaceFile(path, text) {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

function fail(message) {
  throw new Refusal(EXIT.failed, message);
}
