// Cloudflare's proxy as it stands between a Worker's `fetch` and an origin: an HTTP proxy that asks
// the origin and does to questions and answers what Cloudflare does to them. A connection that
// fails becomes a page of its own. The runtime sends it absolute targets; whoever sends
// `POST /rules` adds what is to happen to some requests:
//
//     { "contains": <a part of the URL>, "agent": <a part of the User-Agent>, "does": <see below> }
//
// Both conditions must be true; an empty one is. Of several rules that fit, the last counts.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { pipeline } from 'node:stream';
import zlib from 'node:zlib';

/** How long an origin may take for the head of its answer: 524 behind that. */
const HEAD_MS = 100_000;
const CONNECT_MS = 15_000;

/** The address that Cloudflare shows to the origin of another zone. */
const WORKER_ADDRESS = '2a06:98c0:3600::103';

const TITLES = {
  520: 'Web server is returning an unknown error', 521: 'Web server is down',
  522: 'Connection timed out', 523: 'Origin is unreachable', 524: 'A timeout occurred',
  525: 'SSL handshake failed', 526: 'Invalid SSL certificate', 530: 'Origin DNS error',
};

const HTML = 'text/html; charset=UTF-8';
const LOGIN = 'https://example.cloudflareaccess.com/cdn-cgi/access/login/matrix.example.com?kid=a&redirect_url=%2F';

const html = (title) => `<!DOCTYPE html>\n<html lang="en-US"><head><title>${title}</title></head><body><h1>${title}</h1></body></html>\n`;
const failure = (status, code = status) => ({
  status,
  headers: ['Content-Type', HTML, 'Cache-Control', 'private, max-age=0, no-store, no-cache'],
  body: html(`matrix.example.com | error code: ${code} ${TITLES[status] ?? ''}`),
});

/** Answers in the origin's place. */
const PAGES = {
  blocked: { status: 403, headers: ['Content-Type', 'text/plain; charset=UTF-8'], body: 'error code: 1010' },
  challenged: { status: 403, headers: ['Content-Type', HTML, 'cf-mitigated', 'challenge'], body: html('Just a moment...') },
  limited: { status: 429, headers: ['Content-Type', HTML, 'Retry-After', '10'], body: html('Access denied | error code: 1015') },
  login: { status: 302, headers: ['Location', LOGIN, 'Set-Cookie', 'CF_AppSession=a; Path=/; HttpOnly'], body: '' },
  maintenance: { status: 200, headers: ['Content-Type', HTML], body: html('We will be back soon') },
  unresolved: failure(530, 1016),
  'without a tunnel': failure(530, 1033),
};
const pageOf = (does) => PAGES[does] ?? (/^5\d\d$/.test(does) ? failure(Number(does)) : undefined);

const isQuoted = (tag) => /^(W\/)?"[^"]*"$/.test(tag);
const decoders = { gzip: zlib.createGunzip, 'x-gzip': zlib.createGunzip, br: zlib.createBrotliDecompress, deflate: zlib.createInflate };

/** Raw header fields, as Node has them: names and values by turns. */
const fieldsOf = (raw) => Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i], raw[2 * i + 1]]);
const without = (fields, ...names) => fields.filter(([name]) => !names.includes(name.toLowerCase()));

/** Starts the proxy at a free port. */
export async function startProxy() {
  const rules = [];
  const does = (url, agent = '') =>
    rules.findLast((rule) => url.includes(rule.contains ?? '') && agent.includes(rule.agent ?? ''))?.does;

  const options = { insecureHTTPParser: true, requireHostHeader: false, maxHeaderSize: 1 << 18, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 600_000 };
  const server = http.createServer(options, (request, response) => {
    if (!request.url.startsWith('/')) return forward(request, response, does(request.url, request.headers['user-agent']));
    control(rules, request, response);
  });
  server.on('upgrade', tunnel);
  server.on('clientError', (_, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { address: `127.0.0.1:${server.address().port}`, close: () => { server.close(); server.closeAllConnections(); } };
}

async function control(rules, request, response) {
  let text = '';
  for await (const chunk of request) text += chunk;
  rules.push(JSON.parse(text));
  response.end();
}

function targetOf(url) {
  const [, scheme, authority, path] = url.match(/^(https?):\/\/([^/?#]*)(.*)$/);
  const { hostname, port } = new URL(`${scheme}://${authority}`);
  const isTls = scheme === 'https';
  return { isTls, authority, host: hostname.replace(/^\[|\]$/g, ''), port: port || (isTls ? 443 : 80), path: path.startsWith('/') ? path : `/${path}` };
}

/** The question as the origin gets it. */
function questionFields(request, rule) {
  const fields = fieldsOf(request.rawHeaders);
  const dropped = rule === 'drops conditions' ? ['if-none-match', 'if-modified-since'] : [];
  const forwardedFor = request.headers['x-forwarded-for'];
  return [
    ...without(fields, 'host', 'accept-encoding', 'x-forwarded-for', 'connection', 'proxy-connection', ...dropped),
    ['Accept-Encoding', 'br, gzip'],
    ['X-Forwarded-For', forwardedFor ? `${forwardedFor}, ${WORKER_ADDRESS}` : WORKER_ADDRESS],
    ['CF-Ray', '8f0000000000abcd-AMS'],
    ['Connection', 'close'],
  ];
}

function forward(request, response, rule) {
  const page = pageOf(rule);
  if (page !== undefined) {
    request.resume();
    return answer(request, response, page);
  }
  const { isTls, authority, host, port, path } = targetOf(request.url);
  const method = rule === 'gets for heads' && request.method === 'HEAD' ? 'GET' : request.method;
  let outgoing;
  try {
    outgoing = (isTls ? https : http).request({
      host, port, path, method, headers: ['Host', authority, ...questionFields(request, rule).flat()],
      agent: false, setHost: false, insecureHTTPParser: true, maxHeaderSize: 1 << 18, rejectUnauthorized: true,
    });
  } catch {
    return answer(request, response, failure(520));
  }
  // Or the origin would hear of an upload when its first bytes come. (`flushHeaders` would encode them.)
  if ('content-length' in request.headers || 'transfer-encoding' in request.headers) outgoing.write(Buffer.alloc(0));
  let isAnswered = false;
  let isWhole = () => false;
  const fail = (status, code) => {
    // Bytes beyond the length that was told are none of the answer's.
    if (isAnswered && isWhole()) return;
    if (isAnswered) return response.destroy();
    isAnswered = true;
    outgoing.destroy();
    request.resume();
    answer(request, response, failure(status, code));
  };
  const timer = setTimeout(() => fail(524), HEAD_MS);
  outgoing.setTimeout(0);
  const connecting = setTimeout(() => outgoing.socket?.connecting && fail(522), CONNECT_MS);
  outgoing.on('error', (error) => fail(...statusOf(error)));
  outgoing.on('upgrade', () => fail(520));
  outgoing.on('close', () => { clearTimeout(timer); clearTimeout(connecting); if (!isAnswered) fail(520); });
  outgoing.on('response', (incoming) => {
    clearTimeout(timer);
    if (isAnswered) return incoming.destroy();
    if (incoming.statusCode < 200 || incoming.statusCode > 599) return fail(520);
    isAnswered = true;
    isWhole = () => incoming.complete;
    relay(request, response, incoming, rule);
  });
  // A client that leaves takes the question with it.
  response.on('close', () => outgoing.destroy());
  request.on('error', () => outgoing.destroy());
  request.pipe(outgoing);
}

function statusOf({ code = '' }) {
  if (code === 'ECONNREFUSED') return [521];
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return [530, 1016];
  if (code === 'ETIMEDOUT') return [522];
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return [523];
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test(code)) return [526];
  if (/SSL|EPROTO/.test(code)) return [525];
  return [520];
}

const OWN_FIELDS = [
  ['Server', 'cloudflare'],
  ['CF-Ray', '8f0000000000abcd-AMS'],
  ['CF-Cache-Status', 'DYNAMIC'],
  ['Set-Cookie', '__cf_bm=abc.def-1-1; path=/; expires=Mon, 30-Nov-26 12:00:00 GMT; domain=.example.com; HttpOnly; Secure'],
  ['Alt-Svc', 'h3=":443"; ma=86400'],
];

/** The answer as the Worker gets it. */
function answerFields(fields, rule) {
  const isKept = ([name, value]) => name.toLowerCase() !== 'etag' || isQuoted(value) && rule !== 'drops tags';
  const kept = without(fields, 'server', 'connection', 'keep-alive', 'alt-svc').filter(isKept);
  const doubled = rule === 'doubles tags' ? fields.filter(([name]) => name.toLowerCase() === 'etag') : [];
  const unmeasured = rule === 'drops lengths' ? ['content-length'] : [];
  return [...without(kept, ...unmeasured), ...doubled, ['Vary', 'Accept-Encoding'], ...OWN_FIELDS];
}

function relay(request, response, incoming, rule) {
  let fields = answerFields(fieldsOf(incoming.rawHeaders), rule);
  const coding = incoming.headers['content-encoding']?.toLowerCase();
  const isAskedFor = (request.headers['accept-encoding'] ?? '').includes(coding);
  const decoder = coding in decoders && !isAskedFor ? decoders[coding]() : undefined;
  if (decoder !== undefined) fields = without(fields, 'content-encoding', 'content-length');
  fields = without(fields, 'transfer-encoding');
  try {
    response.writeHead(incoming.statusCode, incoming.statusMessage, fields.flat());
  } catch {
    incoming.destroy();
    return answer(request, response, failure(520));
  }
  const hasBody = request.method !== 'HEAD' && ![204, 304].includes(incoming.statusCode);
  if (!hasBody) {
    incoming.resume();
    return response.end();
  }
  // The head leaves before the body comes, byte by byte as it is. (`flushHeaders` would encode it.)
  response.write(Buffer.alloc(0));
  // What breaks off breaks off, so that nobody takes a part for the whole.
  const broken = (error) => { if (error) response.destroy(); };
  if (decoder === undefined) pipeline(incoming, response, broken);
  else pipeline(incoming, decoder, response, broken);
}

function answer(request, response, { status, headers, body }) {
  const fields = [...headers, 'Content-Length', String(Buffer.byteLength(body)), ...OWN_FIELDS.flat()];
  response.writeHead(status, fields);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** A WebSocket goes to the origin and back untouched. */
function tunnel(request, socket, head) {
  const { authority, host, port, path } = targetOf(request.url);
  const fields = [['Host', authority], ...without(fieldsOf(request.rawHeaders), 'host')];
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  const origin = net.connect(port, host, () => {
    origin.write(`${request.method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
    origin.write(head);
    pipeline(socket, origin, socket, () => {});
  });
  origin.on('error', () => socket.destroy());
}
