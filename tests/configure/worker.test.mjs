// The Worker takes what `make configure` writes: the built one, in workerd.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';

import { readWranglerToml } from '../../scripts/admin/wrangler-config.mjs';
import { startEdge } from './edge.mjs';
import { mediaFlags, run, writeFileFor } from './run.mjs';
import { startStandIn } from './stand-in.mjs';

async function get(url, host, path) {
  const sent = request(new URL(path, url), { headers: { Host: host } }).end();
  const [answer] = await once(sent, 'response');
  const text = (await answer.toArray()).join('');
  return { status: answer.statusCode, json: JSON.parse(text) };
}

test('the worker runs with the variables that were written', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  const { code, said } = await run(file, mediaFlags(server));
  assert.equal(code, 0, said);
  const { vars } = await readWranglerToml(file);
  const { front } = await startEdge(t, vars);
  const edge = `http://${front}`;

  const elsewhere = await get(edge, 'media.example.org', '/_matrix/client/versions');
  assert.deepEqual([elsewhere.status, elsewhere.json.errcode], [404, 'M_UNRECOGNIZED']);
  const config = await get(edge, 'media.example.org', '/_matrix/client/v1/media/config');
  assert.deepEqual([config.status, config.json.errcode], [401, 'M_MISSING_TOKEN']);
  const document = await get(edge, 'example.org', '/.well-known/matrix/client');
  assert.deepEqual(document.json['m.media_server'], { base_url: 'https://media.example.org' });
});

test('the worker has status, media and documents at the public host of an origin', async (t) => {
  const server = await startStandIn(t, () => ({
    '/.well-known/matrix/client': { status: 404, json: {} },
    '/.well-known/matrix/server': { status: 404, json: {} },
  }));
  const file = await writeFileFor(t);
  const flags = ['--layout', 'same-host', '--homeserver-url', server.url];
  const publicHost = ['--public-host', 'matrix.example.org'];
  const { code, said } = await run(file, [...mediaFlags(server), ...flags, ...publicHost]);
  assert.equal(code, 0, said);
  const { vars } = await readWranglerToml(file);
  const { front } = await startEdge(t, { ...vars, WELL_KNOWN_GENERATE: 'true' });
  const edge = `http://${front}`;

  const status = await get(edge, 'matrix.example.org', '/_edge/status');
  assert.deepEqual([status.status, status.json.server_name], [200, 'example.org']);
  const config = await get(edge, 'matrix.example.org', '/_matrix/client/v1/media/config');
  assert.deepEqual([config.status, config.json.errcode], [401, 'M_MISSING_TOKEN']);
  const document = await get(edge, 'example.org', '/.well-known/matrix/client');
  assert.deepEqual(document.json['m.homeserver'], { base_url: 'https://matrix.example.org' });
  const told = server.requests.map(({ headers }) => headers['x-forwarded-host']);
  const hosts = new Set(told.filter((host) => host !== undefined));
  assert.deepEqual([...hosts], ['matrix.example.org']);
});
