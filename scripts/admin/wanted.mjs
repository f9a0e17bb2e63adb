// What the admin wants: from flags, from wrangler.toml, from answers, and from what was found.
import { guessZone, isDomain, parseBaseUrl, parseDomain, parseServerName } from './names.mjs';
import { accept, parseLayout } from './options.mjs';
import { hasHostRoutes, hasMediaDomain, routesOf } from './plan.mjs';
import { EXIT, Refusal } from './refusal.mjs';
import { zonesOf } from './zones.mjs';

const QUESTIONS = {
  serverName: {
    flag: '--server-name',
    parse: parseServerName,
    question: "The server name (what stands behind the colon of your users' IDs)",
  },
  layout: {
    flag: '--layout',
    parse: parseLayout,
    question:
      'The layout (media: a domain for media alone; same-host: the media paths of the ' +
      "homeserver's own host; both)",
  },
  mediaHost: {
    flag: '--media-host',
    parse: parseDomain,
    question: 'The domain for media alone',
  },
  publicHost: {
    flag: '--public-host',
    parse: parseDomain,
    question: "The host that clients use (of the homeserver's base URL, as they know it)",
  },
};

/**
 * What has to be known before anything can be looked for.
 *
 * @param options as options.mjs parses them
 * @param written the names that wrangler.toml has, as plan.mjs reads them
 * @param terminal where somebody can be asked, if there is one
 */
export async function settleNames(options, written, terminal) {
  const settle = async (name) => {
    const { flag, parse, question } = QUESTIONS[name];
    if (options[name] !== undefined) return options[name];
    if (terminal) return terminal.ask(question, { parse, proposal: written[name] });
    if (written[name] !== undefined) return accept(flag, parse(written[name]));
    throw new Refusal(EXIT.usage, `${flag} is missing: see --help`);
  };
  const serverName = await settle('serverName');
  const layout = await settle('layout');
  const mediaHost = hasMediaDomain(layout) ? await settle('mediaHost') : undefined;
  const url = (name, otherwise) => {
    const text = written[name] ?? otherwise;
    return options[name] ?? (text === undefined ? undefined : accept(text, parseBaseUrl(text)));
  };
  return {
    ...options,
    serverName,
    layout,
    mediaHost,
    wellKnownUrl: url('wellKnownUrl', ownWellKnownUrl(serverName)),
    homeserverUrl: url('homeserverUrl'),
    publicUrl:
      options.publicHost === undefined ? url('publicUrl') : ownPublicUrl(options.publicHost),
    announces: options.announces ?? writtenAnnounces(written, layout) ?? hasMediaDomain(layout),
  };
}

/** Whether the file routes well-known, if it is for a layout of this kind; `undefined` for another. */
function writtenAnnounces(written, layout) {
  const isOfKind =
    written.layout !== undefined && hasMediaDomain(written.layout) === hasMediaDomain(layout);
  return isOfKind ? written.announces : undefined;
}

/**
 * What wrangler.toml should say, and what goes with it; less, where no homeserver was found.
 * `publicUrl` is the homeserver's address as clients know it, `base` the one that the edge asks.
 */
export async function settleWanted(names, found, present, { findZone, terminal }) {
  const { serverName, layout, mediaHost, wellKnownUrl } = names;
  const { base, federation } = found;
  const publicUrl = (await settlePublicUrl(names, found, terminal)) ?? base;
  const publicHost = publicUrl?.host;
  const mediaUrl = hasMediaDomain(layout) ? `https://${mediaHost}` : publicUrl?.url;
  const wanted = { ...names, publicUrl, publicHost, mediaUrl };
  if (base === undefined) return wanted;

  refuseClashes(wanted, base);
  const routesIn = (zoneOf) => routesOf({ ...wanted, federation }, zoneOf);
  const hosts = routesIn(() => undefined).map(({ pattern }) => pattern.split('/')[0]);
  const zones = await zonesOf([...new Set(hosts)], {
    given: names.zones,
    guess: (host) => guessZone(host, serverName.host.toLowerCase()),
    find: findZone,
  });
  const isUsual = wellKnownUrl.url === ownWellKnownUrl(serverName);
  return {
    ...wanted,
    zones,
    routes: routesIn((host) => zones.get(host).zone),
    variables: {
      HOMESERVER_URL: base.url,
      SERVER_NAME: serverName.text,
      MEDIA_URL: mediaUrl,
      // A default that nobody wrote down need not be.
      ...((publicUrl.url !== base.url || present.vars.PUBLIC_URL) && { PUBLIC_URL: publicUrl.url }),
      ...((!isUsual || present.vars.WELL_KNOWN_URL) && { WELL_KNOWN_URL: wellKnownUrl.url }),
    },
  };
}

/**
 * The address that clients know: what was given, or what their document names. Where there is
 * neither, and the admin gave the edge's own way to the homeserver, nobody but the admin knows.
 */
async function settlePublicUrl({ publicUrl, homeserverUrl, layout }, { base, documents }, terminal) {
  const known = publicUrl ?? documents.client.base;
  if (known !== undefined || base === undefined || homeserverUrl === undefined) return known;
  if (!terminal || !hasHostRoutes(layout)) return undefined;
  const { parse, question } = QUESTIONS.publicHost;
  const proposal = isDomain(base.host) ? base.host : undefined;
  const host = await terminal.ask(question, { parse, proposal });
  return host === base.host ? base : ownPublicUrl(host);
}

function ownPublicUrl(host) {
  return parseBaseUrl(`https://${host}`).value;
}

/** Refuses layouts that can't be, whatever the homeserver answers. */
function refuseClashes(
  { layout, mediaHost, publicHost, serverName, announces, wellKnownUrl },
  base,
) {
  const refuse = (message) => {
    throw new Refusal(EXIT.usage, message);
  };
  const others = [publicHost, base.host, serverName.host.toLowerCase(), wellKnownUrl.host];
  if (hasMediaDomain(layout) && others.includes(mediaHost)) {
    refuse(`${mediaHost} serves more than media: the media host must be a name of its own`);
  }
  if (hasHostRoutes(layout) && !isDomain(publicHost)) {
    refuse(`${publicHost} can't have routes: give the host that clients use by --public-host`);
  }
  if (announces && !isDomain(serverName.host)) {
    refuse(`${serverName.host} can't have a route: try --well-known leave`);
  }
}

function ownWellKnownUrl({ host }) {
  return `https://${host.toLowerCase()}`;
}
