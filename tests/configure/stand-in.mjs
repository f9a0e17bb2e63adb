// A homeserver with its well-known host, on a free port of this machine.
import { createServer } from 'node:http';

export const TOKEN = 'syt_secret_of_a_user';

const KEY = '/_matrix/key/v2/server';

/** What a plain homeserver answers; `json`, or `html`, or a `location`. */
function homeserver(url) {
  return {
    '/.well-known/matrix/client': { json: { 'm.homeserver': { base_url: url } } },
    '/.well-known/matrix/server': { json: { 'm.server': new URL(url).host } },
    '/_matrix/client/versions': { json: { versions: ['r0.6.1', 'v1.1', 'v1.11'] } },
    '/_matrix/client/v1/media/config': ({ headers }) =>
      headers.authorization === `Bearer ${TOKEN}`
        ? { json: { 'm.upload.size': 50_000_000 } }
        : { status: 401, json: { errcode: 'M_MISSING_TOKEN', error: 'Missing access token' } },
    [KEY]: { json: { server_name: 'example.org', verify_keys: {} } },
  };
}

/** What a proxy answers that lets no program in. */
export const BOT_WALL = {
  status: 403,
  headers: { 'cf-mitigated': 'challenge', 'cf-ray': '1-FRA' },
  html: '<!DOCTYPE html><title>Just a moment...</title>',
};

/**
 * Starts a stand-in; `answers` takes its URL and returns what differs from a plain homeserver, path
 * by path. `requests` are those that came.
 */
export async function startStandIn(test, answers = () => ({})) {
  const requests = [];
  let table = {};
  const server = createServer((request, response) => {
    requests.push(request);
    const entry = table[request.url] ?? {
      status: 404,
      json: { errcode: 'M_NOT_FOUND', error: 'Not found' },
    };
    send(response, typeof entry === 'function' ? entry(request) : entry);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  test.after(stop);
  const url = `http://127.0.0.1:${server.address().port}`;
  table = { ...homeserver(url), ...answers(url) };
  return { url, requests, stop };
}

function send(response, { status, headers, json, html, location }) {
  const type = html === undefined ? 'application/json' : 'text/html';
  response.writeHead(status ?? (location ? 302 : 200), {
    'Access-Control-Allow-Origin': '*',
    'Content-Type': type,
    ...(location && { Location: location }),
    ...headers,
  });
  response.end(html ?? JSON.stringify(json));
}
