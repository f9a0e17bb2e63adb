// Where the edge reaches the homeserver at an address of its own, `make configure` sets up the host
// that clients use: PUBLIC_URL and its routes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { readWranglerToml } from '../../scripts/admin/wrangler-config.mjs';
import { mediaFlags, run, SHIPPED, writeFileFor } from './run.mjs';
import { startStandIn } from './stand-in.mjs';

const PUBLIC_URL = 'https://matrix.example.org';
const NO_DOCUMENT = { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Not found' } };

/** A homeserver at an address of its own, with documents that name the public host. */
function startOrigin(t) {
  return startStandIn(t, () => ({
    '/.well-known/matrix/client': { json: { 'm.homeserver': { base_url: PUBLIC_URL } } },
    '/.well-known/matrix/server': { json: { 'm.server': 'matrix.example.org:443' } },
  }));
}

/** One whose server name has no documents. */
function startUnannounced(t) {
  return startStandIn(t, () => ({
    '/.well-known/matrix/client': NO_DOCUMENT,
    '/.well-known/matrix/server': NO_DOCUMENT,
  }));
}

function flags(server, layout = 'same-host') {
  return [...mediaFlags(server), '--layout', layout, '--homeserver-url', server.url];
}

/** The routes of the homeserver's public host, and what else is given. */
function routes(...others) {
  const paths = [
    '/_matrix/media/*',
    '/_matrix/client/v1/media/*',
    '/_matrix/federation/v1/media/*',
    '/_edge/*',
  ];
  return [...others, ...paths.map((path) => `matrix.example.org${path}`)].map((pattern) => ({
    pattern,
    zone_name: 'example.org',
  }));
}

test('an origin of its own is asked by its address, and media is at the public host', async (t) => {
  const server = await startOrigin(t);
  const file = await writeFileFor(t);
  const { code, said } = await run(file, flags(server));
  assert.equal(code, 0, said);
  const written = await readWranglerToml(file);
  assert.deepEqual(written.vars, {
    HOMESERVER_URL: server.url,
    SERVER_NAME: 'example.org',
    MEDIA_URL: PUBLIC_URL,
    PUBLIC_URL,
    WELL_KNOWN_URL: server.url,
  });
  assert.deepEqual(written.routes, routes());
  assert.match(said, /clients know the homeserver as https:\/\/matrix\.example\.org, and the edge/);
  assert.match(said, /What stays as it is\n.*\n {2}the address that clients know: https:/);
});

test('the public host has an address where the documents name none', async (t) => {
  const server = await startUnannounced(t);
  const file = await writeFileFor(t);
  const { code, said } = await run(file, [...flags(server), '--public-host', 'matrix.example.org']);
  assert.equal(code, 0, said);
  const { vars } = await readWranglerToml(file);
  assert.deepEqual([vars.PUBLIC_URL, vars.MEDIA_URL], [PUBLIC_URL, PUBLIC_URL]);
});

test('the public host is asked for where nothing names it', async (t) => {
  const server = await startUnannounced(t);
  const file = await writeFileFor(t);
  const argv = ['--well-known-url', server.url, '--homeserver-url', server.url];
  const answers = ['example.org', 'same-host', 'https://nonsense', 'matrix.example.org', 'y'];
  const { code, said } = await run(file, [...argv, '--zone', 'example.org'], { answers });
  assert.equal(code, 0, said);
  assert.match(said, /The host that clients use/);
  assert.match(said, /It must be a domain/);
  assert.equal((await readWranglerToml(file)).vars.PUBLIC_URL, PUBLIC_URL);
});

test('a second run keeps the public host though no document names it any more', async (t) => {
  const server = await startUnannounced(t);
  const file = await writeFileFor(t);
  const first = await run(file, [...flags(server), '--public-host', 'matrix.example.org']);
  const second = await run(file, ['--zone', 'example.org', '--yes']);
  assert.equal(second.code, 0, second.said);
  assert.equal(second.text, first.text);
});

test('a media domain is beside the public host, whose documents may be generated', async (t) => {
  const server = await startOrigin(t);
  const file = await writeFileFor(t);
  for (const layout of ['media', 'both']) {
    const { code, said } = await run(file, [...flags(server, layout), '--overwrite']);
    assert.equal(code, 0, said);
    const { vars } = await readWranglerToml(file);
    assert.deepEqual([vars.PUBLIC_URL, vars.MEDIA_URL], [PUBLIC_URL, 'https://media.example.org']);
  }
});

test('the layout same-host routes well-known documents if the admin asks for it', async (t) => {
  const server = await startOrigin(t);
  const file = await writeFileFor(t);
  await run(file, [...flags(server), '--well-known', 'route']);
  const expected = routes('example.org/.well-known/matrix/*');
  assert.deepEqual((await readWranglerToml(file)).routes, expected);
  const second = await run(file, ['--zone', 'example.org', '--yes']);
  assert.match(second.said, /is as it should be/);
});

test('one address for all needs no variable', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  await run(file, mediaFlags(server));
  assert.equal((await readWranglerToml(file)).vars.PUBLIC_URL, undefined);
});

test('a document that names the origin is told of', async (t) => {
  const server = await startStandIn(t);
  const argv = [...flags(server), '--public-host', 'matrix.example.org'];
  const { code, said } = await run(await writeFileFor(t), argv);
  assert.equal(code, 0, said);
  for (const name of ['client', 'server']) {
    assert.ok(said.includes(`matrix/${name} sends everyone to 127.0.0.1, past the edge`), said);
  }
  const hidden = await run(await writeFileFor(t), flags(await startOrigin(t)));
  assert.doesNotMatch(hidden.said, /sends everyone/);
});

test('a public host that does not answer is told of', async (t) => {
  const server = await startOrigin(t);
  const { said } = await run(await writeFileFor(t), flags(server));
  assert.match(said, /matrix\.example\.org answers with nothing \(not asked\)/);
});

test('what an earlier run took for the media domain gives way to the public host', async (t) => {
  const server = await startOrigin(t);
  const shipped = await readFile(SHIPPED, 'utf8');
  const earlier = shipped
    .replace(/^HOMESERVER_URL = .*$/m, `HOMESERVER_URL = "${server.url}"`)
    .replace(/^MEDIA_URL = .*$/m, `MEDIA_URL = "${server.url}"`);
  const file = await writeFileFor(t, earlier);
  const { code, said } = await run(file, [...flags(server), '--overwrite']);
  assert.equal(code, 0, said);
  assert.equal((await readWranglerToml(file)).vars.MEDIA_URL, PUBLIC_URL);
});
