// `make configure` against the servers that there are: what it finds, and what it says of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readWranglerToml } from '../../scripts/admin/wrangler-config.mjs';
import { mediaFlags, run, writeFileFor } from './run.mjs';
import { BOT_WALL, startStandIn, TOKEN } from './stand-in.mjs';

test('static well-known documents lead to the homeserver', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  const { code, said } = await run(file, mediaFlags(server));
  assert.equal(code, 0, said);
  const { vars, routes } = await readWranglerToml(file);
  assert.deepEqual(vars, {
    HOMESERVER_URL: server.url,
    SERVER_NAME: 'example.org',
    MEDIA_URL: 'https://media.example.org',
    WELL_KNOWN_URL: server.url,
  });
  assert.deepEqual(routes, [
    { pattern: 'media.example.org', custom_domain: true },
    { pattern: 'example.org/.well-known/matrix/*', zone_name: 'example.org' },
  ]);
});

test('without documents the well-known host itself is tried', async (t) => {
  const server = await startStandIn(t, () => ({
    '/.well-known/matrix/client': { status: 404, html: 'Not found' },
    '/.well-known/matrix/server': { status: 404, html: 'Not found' },
  }));
  const file = await writeFileFor(t);
  const { code, said } = await run(file, mediaFlags(server));
  assert.equal(code, 0, said);
  assert.equal((await readWranglerToml(file)).vars.HOMESERVER_URL, server.url);
  assert.match(said, /client: there is none, and so nothing to announce/);
  assert.match(said, /WELL_KNOWN_GENERATE/);
});

test('redirects of well-known are followed and told', async (t) => {
  const server = await startStandIn(t, (url) => ({
    '/.well-known/matrix/client': { location: '/elsewhere' },
    '/elsewhere': { location: `${url}/further` },
    '/further': { json: { 'm.homeserver': { base_url: url } } },
  }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 0, said);
  assert.ok(
    said.includes(`client names ${server.url} (redirected to ${server.url}/further)`),
    said,
  );
});

test('redirects without end are no document', async (t) => {
  const server = await startStandIn(t, () => ({
    '/.well-known/matrix/client': { location: '/.well-known/matrix/client' },
  }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /redirects without end/);
});

test('delegation to another port is followed for federation', async (t) => {
  const federation = await startStandIn(t, () => ({
    '/_matrix/key/v2/server': { json: { server_name: 'example.org' } },
  }));
  const port = new URL(federation.url).port;
  const server = await startStandIn(t, () => ({
    '/.well-known/matrix/server': { json: { 'm.server': `127.0.0.1:${port}` } },
  }));
  const flags = ['--layout', 'same-host', '--public-host', 'matrix.example.org'];
  const file = await writeFileFor(t);
  const { code, said } = await run(file, [...mediaFlags(server), ...flags]);
  assert.equal(code, 0, said);
  assert.ok(said.includes(`${federation.url}/_matrix/key/v2/server is example.org's`), said);
  assert.ok(
    said.includes(`other servers come to 127.0.0.1, port ${port}, which Cloudflare does not proxy`),
    said,
  );
  const patterns = (await readWranglerToml(file)).routes.map(({ pattern }) => pattern);
  assert.ok(!patterns.some((pattern) => pattern.includes('federation')), patterns.join());
});

test('a broken client document stops it, though the homeserver is found', async (t) => {
  const server = await startStandIn(t, () => ({
    '/.well-known/matrix/client': { html: '<html>Welcome to my site</html>' },
  }));
  const { code, said, text } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /client answers with a page of HTML \(status 200\)/);
  assert.ok(said.includes(`the homeserver at ${server.url} answers`), said);
  assert.ok(!text.includes(server.url), 'it was written');
});

test('a check that went wrong can be overruled', async (t) => {
  const server = await startStandIn(t, () => ({ '/.well-known/matrix/client': { json: [] } }));
  const { code, said, text } = await run(await writeFileFor(t), [
    ...mediaFlags(server),
    '--despite-checks',
  ]);
  assert.equal(code, 0, said);
  assert.ok(text.includes(`HOMESERVER_URL = "${server.url}"`));
});

test('a bot wall before everything is called so', async (t) => {
  const paths = [
    '/.well-known/matrix/client',
    '/.well-known/matrix/server',
    '/_matrix/client/versions',
  ];
  const server = await startStandIn(t, () =>
    Object.fromEntries(paths.map((path) => [path, BOT_WALL])),
  );
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /versions answers with a bot wall \(status 403\)/);
  assert.match(said, /no homeserver was found/);
});

test('a bot wall before the key endpoint alone is found', async (t) => {
  const server = await startStandIn(t, () => ({ '/_matrix/key/v2/server': BOT_WALL }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /bad .*key\/v2\/server answers with a bot wall/);
});

test('a homeserver of another name is refused', async (t) => {
  const server = await startStandIn(t, () => ({
    '/_matrix/key/v2/server': { json: { server_name: 'example.net' } },
  }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /is example\.net's, not example\.org's/);
});

test('an address that leads back to the edge is refused', async (t) => {
  const server = await startStandIn(t, () => ({
    '/_matrix/client/v1/media/config': ({ headers }) => ({
      status: headers['x-matrix-media-edge'] === 'example.org' ? 508 : 401,
      json: {},
    }),
  }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /leads back to the edge itself/);
});

test('a document that names another media server is told of', async (t) => {
  const server = await startStandIn(t, (url) => ({
    '/.well-known/matrix/client': {
      json: {
        'm.homeserver': { base_url: url },
        'm.media_server': { base_url: 'https://cdn.example.net' },
      },
    },
  }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /names another media server already/);
});

test('an old homeserver is told to have legacy media only', async (t) => {
  const server = await startStandIn(t, () => ({
    '/_matrix/client/versions': { json: { versions: ['v1.1', 'v1.10'] } },
  }));
  const { said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.match(said, /it has no authenticated media/);
});

test('an unstable flag counts as authenticated media', async (t) => {
  const features = { 'org.matrix.msc3916.stable': true };
  const server = await startStandIn(t, () => ({
    '/_matrix/client/versions': { json: { versions: ['v1.10'], unstable_features: features } },
  }));
  const { said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.match(said, /it has authenticated media/);
});

test('the upload limit is read with a token that is neither told nor written', async (t) => {
  const server = await startStandIn(t);
  const { code, said, text } = await run(await writeFileFor(t), mediaFlags(server), {
    env: { MATRIX_ACCESS_TOKEN: TOKEN },
  });
  assert.equal(code, 0);
  assert.match(said, /it takes uploads of 50000000 bytes/);
  assert.ok(!`${said}${text}`.includes(TOKEN));
  const carriers = server.requests.filter(({ headers }) => headers.authorization);
  assert.deepEqual(
    carriers.map(({ url }) => url),
    ['/_matrix/client/v1/media/config'],
  );
});

test('a secret for the homeserver goes to the address that was given, and nowhere else', async (t) => {
  const closed = await startStandIn(t, () => ({
    '/_matrix/client/versions': ({ headers }) =>
      headers['x-tunnel'] === 'hunter2' ? { json: { versions: ['v1.11'] } } : BOT_WALL,
  }));
  const server = await startStandIn(t);
  const env = { ORIGIN_HEADERS: '{"X-Tunnel":"hunter2"}' };
  const flags = [...mediaFlags(server), '--homeserver-url', closed.url];
  const { code, said, text } = await run(await writeFileFor(t), flags, { env });
  assert.equal(code, 0, said);
  assert.ok(!`${said}${text}`.includes('hunter2'));
  assert.ok(server.requests.every(({ headers }) => headers['x-tunnel'] === undefined));

  await run(await writeFileFor(t), mediaFlags(server), { env });
  assert.ok(server.requests.every(({ headers }) => headers['x-tunnel'] === undefined));
});

test('without a token the upload limit is said to be unknown', async (t) => {
  const server = await startStandIn(t);
  const { said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.match(said, /its upload limit is told to users only/);
});

test('a proxy of Cloudflare before the homeserver is noted', async (t) => {
  const headers = { 'cf-ray': '1-FRA', server: 'cloudflare' };
  const server = await startStandIn(t, () => ({
    '/_matrix/client/versions': { json: { versions: ['v1.11'] }, headers },
  }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 0);
  assert.match(said, /is behind Cloudflare's proxy/);
});

test('an answer without end is not read to its end', async (t) => {
  const huge = { 'm.homeserver': { base_url: 'x'.repeat(1_000_000) } };
  const server = await startStandIn(t, () => ({ '/.well-known/matrix/client': { json: huge } }));
  const { code, said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /an answer over 65536 bytes/);
});

test('what servers say does not reach the terminal as control characters', async (t) => {
  const server = await startStandIn(t, () => ({
    '/_matrix/key/v2/server': { json: { server_name: '\u001b[2J\u202eevil' } },
  }));
  const { said } = await run(await writeFileFor(t), mediaFlags(server));
  assert.match(said, /is \?\[2J\?evil's/);
});

test('a homeserver that is down is told of, and nothing is written', async (t) => {
  const server = await startStandIn(t);
  await server.stop();
  const { code, said, text } = await run(await writeFileFor(t), mediaFlags(server));
  assert.equal(code, 4);
  assert.match(said, /the connection was refused/);
  assert.ok(!text.includes(server.url), 'it was written');
});
