// Which DNS zone a host is in, and whether that zone is Cloudflare's, as the name servers tell.
import { Resolver } from 'node:dns/promises';

import { isDomain } from './names.mjs';

/** How long a name server may take, in milliseconds. */
const PATIENCE_MS = 2_000;

/** `{ zone, isCloudflare }` of a host, or nothing where the name servers could not be asked. */
export async function findZone(host, resolver = new Resolver({ timeout: PATIENCE_MS, tries: 1 })) {
  const labels = host.split('.');
  const names = labels.slice(0, -1).map((_, index) => labels.slice(index).join('.'));
  for (const name of names) {
    // A zone begins where there is an SOA record; an alias would show another zone's.
    if (
      !(await answers(resolver.resolveCname(name))) &&
      (await answers(resolver.resolveSoa(name)))
    ) {
      const servers = (await answers(resolver.resolveNs(name))) ?? [];
      return {
        zone: name,
        isCloudflare: servers.some((server) => server.endsWith('.ns.cloudflare.com')),
      };
    }
  }
}

/** The zones of all these hosts: those that were given, those that DNS knows, and guesses. */
export async function zonesOf(hosts, { given, guess, find }) {
  const zones = new Map();
  for (const host of hosts.filter(isDomain)) {
    const named = given.find((zone) => host === zone || host.endsWith(`.${zone}`));
    zones.set(
      host,
      named ? { zone: named } : ((await find(host)) ?? { zone: guess(host), isGuess: true }),
    );
  }
  return zones;
}

function answers(promise) {
  return promise.catch(() => undefined);
}
