// From what the admin wants and what wrangler.toml has to the edits between them.
import { isProxiedPort } from './cloudflare.mjs';
import { isDomain } from './names.mjs';
import { withoutRoute, withRoute, withVariable } from './toml.mjs';

/** What wrangler.toml is shipped with, and nobody has decided. */
const EXAMPLES = {
  HOMESERVER_URL: 'https://matrix-origin.example.com',
  SERVER_NAME: 'example.com',
  MEDIA_URL: 'https://matrix-media.example.com',
};

/** The names that a file already has: what an earlier run or the admin wrote. */
export function namesIn({ vars, routes }) {
  const written = (name) => (vars[name] === EXAMPLES[name] ? undefined : vars[name]);
  const has = (part) => routes.some(({ pattern }) => pattern.includes(part));
  const hasDomain = routes.some((route) => route.custom_domain);
  const mediaUrl = written('MEDIA_URL');
  return {
    serverName: written('SERVER_NAME'),
    homeserverUrl: written('HOMESERVER_URL'),
    wellKnownUrl: vars.WELL_KNOWN_URL,
    publicUrl: vars.PUBLIC_URL,
    mediaHost:
      mediaUrl === undefined || [vars.HOMESERVER_URL, vars.PUBLIC_URL].includes(mediaUrl)
        ? undefined
        : mediaUrl.replace(/^https:\/\//, ''),
    layout: layoutOf(hasDomain, has('/_matrix/')),
    announces: has('/.well-known/'),
  };
}

function layoutOf(hasDomain, hasRoutes) {
  if (hasDomain) return hasRoutes ? 'both' : 'media';
  return hasRoutes ? 'same-host' : undefined;
}

/** Whether a layout has a domain for media alone. */
export function hasMediaDomain(layout) {
  return layout !== 'same-host';
}

/** Whether a layout has routes on the homeserver's own host. */
export function hasHostRoutes(layout) {
  return layout !== 'media';
}

/** The routes of a layout. `federation` is where other servers come to. */
export function routesOf(wanted, zoneOf) {
  const { layout, announces, serverName, mediaHost, publicHost, federation } = wanted;
  const routes = [];
  const route = (host, path) => routes.push({ pattern: `${host}${path}`, zone_name: zoneOf(host) });
  if (hasMediaDomain(layout)) routes.push({ pattern: mediaHost, custom_domain: true });
  if (announces) route(serverName.host.toLowerCase(), '/.well-known/matrix/*');
  if (hasHostRoutes(layout)) {
    route(publicHost, '/_matrix/media/*');
    route(publicHost, '/_matrix/client/v1/media/*');
    if (isProxiedPort(federation.port) && isDomain(federation.host)) {
      // Servers that don't know the federation endpoint ask the legacy one, at the same host.
      if (federation.host !== publicHost) route(federation.host, '/_matrix/media/*');
      route(federation.host, '/_matrix/federation/v1/media/*');
    }
    // Status and purge are at the media domain, where there is one.
    if (!hasMediaDomain(layout)) route(publicHost, '/_edge/*');
  }
  return routes;
}

/**
 * The edits that make a file say what is wanted: `{ variables, routes }`. Each edit has `before`
 * and `after`, of which a route may lack either; `isHandEdit` says that somebody decided `before`.
 */
export function planEdits({ vars, routes }, wanted) {
  const variables = Object.entries(wanted.variables)
    .map(([name, after]) => ({ name, before: vars[name], after }))
    .filter(({ before, after }) => before !== after);
  const surplus = routes.filter((route) => !wanted.routes.some((other) => isSame(route, other)));
  const missing = wanted.routes.filter((route) => !routes.some((other) => isSame(route, other)));
  return [
    ...variables.map((edit) => ({
      ...edit,
      isHandEdit: edit.before !== undefined && edit.before !== EXAMPLES[edit.name],
    })),
    ...surplus.map((before) => ({ before, isHandEdit: true })),
    ...missing.map((after) => ({ after, isHandEdit: false })),
  ];
}

/** The text after these edits. */
export function applyEdits(text, edits) {
  return edits.reduce((edited, { name, before, after }) => {
    if (name !== undefined) return withVariable(edited, name, after);
    return after === undefined ? withoutRoute(edited, before) : withRoute(edited, after);
  }, text);
}

/** Whether `after` says what `before` said, but for these edits. */
export function isResult(edits, before, after) {
  const vars = { ...before.vars };
  let routes = before.routes;
  for (const edit of edits) {
    if (edit.name !== undefined) vars[edit.name] = edit.after;
    else if (edit.after === undefined)
      routes = routes.filter((route) => !isSame(route, edit.before));
    else routes = [...routes, edit.after];
  }
  const names = Object.keys(vars);
  return (
    names.length === Object.keys(after.vars).length &&
    names.every((name) => vars[name] === after.vars[name]) &&
    routes.length === after.routes.length &&
    routes.every((route) => after.routes.some((other) => isSame(route, other)))
  );
}

function isSame(one, other) {
  const fields = ['pattern', 'zone_name', 'zone_id', 'custom_domain'];
  return fields.every((field) => one[field] === other[field]);
}
