// Checks of what Cloudflare would make of it: proxies, ports, zones, loops.
import { bad, note, ok } from './levels.mjs';
import { isProxied, readObject } from './reading.mjs';

/** The HTTPS ports that Cloudflare's proxy takes requests on. */
const PROXIED_PORTS = [443, 2053, 2083, 2087, 2096, 8443];

/** What an address at another port means. */
export const ODD_PORT =
  "Cloudflare's proxy takes nothing there: its DNS record must stay \"DNS only\"";

/** Whether requests to this port can come through Cloudflare's proxy. */
export function isProxiedPort(port) {
  return PROXIED_PORTS.includes(port);
}

/** Whether what is asked of the homeserver would come back to the edge. */
export function checkLoop({ base, loop }, { layout, publicHost }) {
  if (loop.status !== 508) return [];
  // A Worker's own requests pass by the routes of the zone that it was called in.
  if (layout !== 'media' && base.host === publicHost) {
    return [ok(`${base.url} leads through the edge already`)];
  }
  const cure = 'Give the address of the homeserver behind it: --homeserver-url https://…';
  return [bad(`${base.url} leads back to the edge itself`, cure)];
}

/** What stands before the homeserver, where the edge asks it at an address without routes. */
export function checkOrigin({ base, versions }) {
  const checks = isProxiedPort(base.port) ? [] : [note(`${base.url} is at an odd port`, ODD_PORT)];
  if (!versions || !isProxied(versions)) return checks;
  const rules = "its rules apply to the edge's requests too";
  return [...checks, note(`${base.url} is behind Cloudflare's proxy: ${rules}`)];
}

/** Whether the requests of clients and servers can come by routes on the homeserver's own host. */
export function checkRoutes({ base, versions, publicVersions, federation }, { publicHost }) {
  const checks = [];
  const answer = base.host === publicHost ? versions : publicVersions;
  if (answer?.failure !== undefined) {
    const what = `${publicHost} answers with ${readObject(answer).problem}`;
    const cure = 'Give it a way to the homeserver: all but media goes there past the Worker';
    checks.push(note(what, cure));
  } else if (answer && !isProxied(answer)) {
    const cure = 'Its routes take effect when its DNS record is set to "proxied"';
    checks.push(note(`${publicHost} is not behind Cloudflare's proxy`, cure));
  }
  const { host, port } = federation;
  if (!isProxiedPort(port)) {
    const what = `other servers come to ${host}, port ${port}, which Cloudflare does not proxy`;
    const cure = `Let well-known's m.server be "${host}:443", if the homeserver answers there`;
    checks.push(note(`${what}: their downloads won't go through the edge`, cure));
  } else if (port !== 443) {
    const what = `other servers come to port ${port}`;
    checks.push(note(`${what}: whether routes apply there has not been tried`));
  }
  return checks;
}

/** Whether the zones of all hosts are known, and the edge's own requests don't cross them. */
export function checkZones({ base }, { zones, mediaHost, routes }) {
  const checks = [];
  for (const [host, { zone, isCloudflare, isGuess }] of zones) {
    // A custom domain is written without its zone.
    if (isGuess && host !== mediaHost) {
      checks.push(
        note(`${host} is taken to be in the zone ${zone}`, 'If not, give yours by --zone'),
      );
    }
    if (isCloudflare === false) {
      const cure = 'Add it there, and change its name servers: routes and domains need it';
      checks.push(note(`the zone ${zone} of ${host} is not at Cloudflare`, cure));
    }
  }
  const [ours, theirs] = [zones.get(mediaHost), zones.get(base.host)];
  const isRouted = routes.some(({ pattern }) => pattern.startsWith(`${base.host}/_matrix/`));
  if (isRouted && ours && ours.zone !== theirs.zone) {
    const level = ours.isGuess || theirs.isGuess ? note : bad;
    const what = `${mediaHost} and ${base.host} seem to be in two zones`;
    const cure =
      "Take a media host in the same zone, or an address without routes as the homeserver's";
    checks.push(level(`${what}: what one asks would come back by the other's routes`, cure));
  }
  return checks;
}
