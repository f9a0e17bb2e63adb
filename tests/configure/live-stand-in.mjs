// What `scripts/check` asks: an edge that does all as it should, but for what a test says; and a
// homeserver's media, for the real Worker.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

export const TOKEN = 'syt_secret_of_a_user';
export const ADMIN_TOKEN = 'secret-of-the-admin';

const HEALTHY = { check: 'Homeserver', level: 'good', found: 'It answers.', cure: null };

async function listen(test, answer) {
  const requests = [];
  const server = createServer(async (request, response) => {
    requests.push(request);
    const body = Buffer.concat(await request.toArray());
    answer(request, response, body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

function sendJson(response, status, json, headers = {}) {
  const body = JSON.stringify(json);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Access-Control-Allow-Origin': '*',
    ...headers,
  });
  response.end(body);
}

const error = (response, status, errcode, headers) =>
  sendJson(response, status, { errcode, error: 'No' }, headers);

/** Uploads, and downloads of what was uploaded: Synapse's answers, with its tag. */
function mediaOf(files, request, response, body) {
  const path = request.url.split('?')[0];
  if (path === '/_matrix/client/v3/account/whoami' || !request.headers.authorization)
    return error(response, 401, 'M_MISSING_TOKEN');
  if (request.headers.authorization !== `Bearer ${TOKEN}`)
    return error(response, 401, 'M_UNKNOWN_TOKEN');
  if (path === '/_matrix/media/v3/upload') {
    if (request.headers['content-length'] === undefined) return error(response, 400, 'M_UNKNOWN');
    const id = randomUUID();
    files.set(id, { type: request.headers['content-type'], body, reads: 0 });
    return sendJson(response, 200, { content_uri: `mxc://example.org/${id}` });
  }
  const id = /^\/_matrix\/client\/v1\/media\/download\/example\.org\/(.*)$/.exec(path)?.[1];
  const file = files.get(id);
  if (file === undefined) return error(response, 404, 'M_NOT_FOUND');
  return file;
}

/** Starts a homeserver that has media and both documents, and is as it should be. */
export async function startHomeserver(test) {
  const files = new Map();
  return listen(test, (request, response, body) => {
    if (request.url === '/.well-known/matrix/client')
      return sendJson(response, 200, { 'm.homeserver': { base_url: 'https://matrix.example.org' } });
    if (request.url === '/.well-known/matrix/server')
      return sendJson(response, 200, { 'm.server': 'matrix.example.org:443' });
    if (request.url === '/_matrix/client/versions')
      return sendJson(response, 200, { versions: ['v1.11'] });
    if (request.url === '/_matrix/key/v2/server')
      return sendJson(response, 200, { server_name: 'example.org' });
    const file = mediaOf(files, request, response, body);
    if (file === undefined) return;
    if (request.headers['if-none-match'] === '1') {
      response.writeHead(304, { ETag: '1' });
      return response.end();
    }
    response.writeHead(200, {
      'Content-Type': file.type,
      'Content-Length': file.body.length,
      'Content-Disposition': 'attachment',
      ETag: '1',
    });
    response.end(request.method === 'HEAD' ? undefined : file.body);
  });
}

/**
 * Starts an edge. `wrong` takes its URL and returns, by path without query, what is answered there
 * instead: a function of request, response, and what would have been sent (see below).
 */
export async function startLiveEdge(test, wrong = () => ({})) {
  const files = new Map();
  let table = {};
  const edge = await listen(test, (request, response, body) => {
    const path = request.url.split('?')[0].replace(/(\/download\/).*/, '$1');
    const other = table[path];
    answerAsEdge(files, request, response, body, edge.url, other);
  });
  table = wrong(edge.url);
  return edge;
}

function answerAsEdge(files, request, response, body, url, other) {
  const path = request.url.split('?')[0];
  if (other !== undefined && !path.includes('/download/')) return other(request, response);
  switch (path) {
    case '/_edge/status':
      return sendJson(response, 200, { ok: true, server_name: 'example.org' });
    case '/_edge/selftest':
      return request.headers.authorization === `Bearer ${ADMIN_TOKEN}`
        ? sendJson(response, 200, { ok: true, checks: [HEALTHY] })
        : error(response, 403, 'M_FORBIDDEN');
    case '/.well-known/matrix/client':
      return sendJson(response, 200, {
        'm.homeserver': { base_url: url },
        'm.media_server': { base_url: url },
      });
    case '/.well-known/matrix/server':
      return sendJson(response, 200, {
        'm.server': new URL(url).host,
        'm.media_server': new URL(url).host,
      });
  }
  if (path.endsWith('/media/config') || path.endsWith('/edge-check'))
    return error(response, 401, 'M_MISSING_TOKEN', { 'Cache-Status': 'matrix-media-edge; fwd=bypass' });
  const file = mediaOf(files, request, response, body);
  if (file !== undefined) sendFile(request, response, file, other);
}

/** A download as the edge sends it; `other` may change status, headers and body of it. */
function sendFile(request, response, file, other = (sent) => sent) {
  file.reads += 1;
  const isCached = file.reads > 1;
  const headers = {
    'Content-Type': file.type,
    'Content-Length': file.body.length,
    ETag: `"${file.body.length}"`,
    'Cache-Status': isCached
      ? 'matrix-media-edge; fwd=stale; fwd-status=304'
      : 'matrix-media-edge; fwd=uri-miss; fwd-status=200; stored',
    ...(isCached && { 'Server-Timing': 'tier;desc=memory, origin;dur=1' }),
  };
  const sent = { status: 200, headers, body: file.body };
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  if (first !== undefined) {
    sent.status = 206;
    sent.body = file.body.subarray(Number(first), Number(last) + 1);
    headers['Content-Range'] = `bytes ${first}-${last}/${file.body.length}`;
    headers['Content-Length'] = sent.body.length;
  }
  const { status, headers: fields, body } = other(sent, request);
  response.writeHead(status, fields);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** An answer with this JSON. */
export const withJson = (status, json, headers) => (_, response) =>
  sendJson(response, status, json, headers);

/** A page of HTML. */
export const withPage = (status, headers) => (_, response) => {
  response.writeHead(status, { 'Content-Type': 'text/html', ...headers });
  response.end('<!DOCTYPE html><title>No</title>');
};
