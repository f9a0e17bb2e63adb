// Names and addresses, by the rules of the Worker's own parsers (src/matrix/ids.rs, src/config/base_url.rs).
//
// A parser returns `{ value }` or `{ problem }`, a sentence for the admin.
import { BlockList, isIP, isIPv6 } from 'node:net';

/** What `http://` is allowed for: this machine and private networks. */
const NEAR = new BlockList();
for (const [net, prefix, family] of [
  ['127.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['::1', 128, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
]) {
  NEAR.addSubnet(net, prefix, family);
}

/** A Matrix server name: `host[:port]`, never normalized. */
export function parseServerName(text) {
  const { host, port } = splitPort(text);
  if (!isHost(host) || (port !== undefined && !/^[0-9]{1,5}$/.test(port))) {
    return { problem: 'must be a Matrix server name such as example.com, without https://' };
  }
  return { value: { text, host, port } };
}

/** The host of a media domain: a DNS name, which Cloudflare makes a certificate for. */
export function parseDomain(text) {
  const host = text.toLowerCase();
  return isDomain(host)
    ? { value: host }
    : { problem: 'must be a domain such as matrix-media.example.com' };
}

/** A base URL as the Worker takes it: a scheme and a host; plain http and IP addresses near this machine only. */
export function parseBaseUrl(text) {
  const match = /^(https?):\/\/(.*)$/.exec(text);
  if (!match) return { problem: 'must start with https://' };
  const scheme = match[1];
  const rest = match[2].replace(/\/$/, '');
  if (/[/?#]/.test(rest)) return { problem: 'must be a scheme and a host only, without a path' };
  const { host: named, port } = splitPort(rest);
  const host = named.toLowerCase();
  if (
    !isHost(host) ||
    (port !== undefined && !(/^[0-9]{1,5}$/.test(port) && Number(port) < 65_536))
  ) {
    return { problem: 'must name a host, with a port if it is not the usual one' };
  }
  const near = isNear(host);
  if (!near && isIP(host.replace(/^\[|\]$/g, '')) !== 0) {
    return { problem: 'must have a name for a host: Cloudflare fetches no IP address (error 1003)' };
  }
  if (scheme === 'http' && !near) {
    return { problem: 'must be https (http is for loopback and private addresses only)' };
  }
  const ownPort = scheme === 'https' ? 443 : 80;
  const number = port === undefined ? ownPort : Number(port);
  const url = `${scheme}://${host}${number === ownPort ? '' : `:${number}`}`;
  return { value: { url, scheme, host, port: number, isNear: near } };
}

/** Whether a host can have a route or a custom domain: a DNS name with a dot. */
export function isDomain(host) {
  return isHost(host) && host.includes('.') && isIP(host) === 0 && !host.startsWith('[');
}

/** The zone that a host is most likely in, where nobody could be asked. */
export function guessZone(host, serverHost) {
  const [ours, theirs] = [host, serverHost].map((name) => name.split('.').reverse());
  const differs = ours.findIndex((label, index) => label !== theirs[index]);
  const shared = differs < 0 ? ours.length : differs;
  return ours.slice(0, Math.max(shared, 2)).reverse().join('.');
}

/** Text of other people's, for a terminal: no control characters, and not much of it. */
export function printable(text) {
  const clean = String(text).replace(/[^\x20-\x7e]+/g, '?');
  return clean.length > 120 ? `${clean.slice(0, 120)}…` : clean;
}

function splitPort(text) {
  const start = text.lastIndexOf(']') + 1;
  const colon = text.indexOf(':', start);
  return colon < 0 ? { host: text } : { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

function isHost(host) {
  if (/^\[.*\]$/.test(host)) return isIPv6(host.slice(1, -1));
  return host.length <= 255 && /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(host);
}

function isNear(host) {
  if (host === 'localhost' || host.endsWith('.localhost')) return true;
  const address = host.replace(/^\[|\]$/g, '');
  const family = isIP(address);
  return family !== 0 && NEAR.check(address, `ipv${family}`);
}
