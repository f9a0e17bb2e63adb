// What `make configure` does to wrangler.toml, and what it leaves alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { routesOf } from '../../scripts/admin/plan.mjs';
import { readWranglerToml } from '../../scripts/admin/wrangler-config.mjs';
import { mediaFlags, run, SHIPPED, writeFileFor } from './run.mjs';
import { startStandIn } from './stand-in.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A homeserver whose clients go to matrix.example.org, which this machine can't reach. */
function startPublic(t) {
  return startStandIn(t, () => ({
    '/.well-known/matrix/client': {
      json: { 'm.homeserver': { base_url: 'https://matrix.example.org' } },
    },
    '/.well-known/matrix/server': { json: { 'm.server': 'matrix.example.org:443' } },
  }));
}

function bothFlags(server) {
  return [...mediaFlags(server), '--layout', 'both', '--homeserver-url', server.url];
}

function lines(text) {
  return text.split('\n');
}

test('a second run changes nothing', async (t) => {
  const server = await startPublic(t);
  const file = await writeFileFor(t);
  const first = await run(file, bothFlags(server));
  const second = await run(file, bothFlags(server));
  assert.deepEqual([first.code, second.code], [0, 0], first.said);
  assert.equal(second.text, first.text);
  assert.match(second.said, /is as it should be/);
});

test('a second run needs no flags', async (t) => {
  const server = await startPublic(t);
  const file = await writeFileFor(t);
  const first = await run(file, bothFlags(server));
  const second = await run(file, ['--zone', 'example.org']);
  assert.equal(second.code, 0, second.said);
  assert.equal(second.text, first.text);
});

test('every line that it did not have to change stays', async (t) => {
  const server = await startPublic(t);
  const shipped = lines(await readFile(SHIPPED, 'utf8'));
  const { text } = await run(await writeFileFor(t), bothFlags(server));
  const written = lines(text);
  const lost = shipped.filter((line) => !written.includes(line));
  assert.deepEqual(lost, [
    'HOMESERVER_URL = "https://matrix-origin.example.com"',
    'SERVER_NAME = "example.com"',
    'MEDIA_URL = "https://matrix-media.example.com"',
  ]);
});

test('a comment behind a value stays', async (t) => {
  const server = await startStandIn(t);
  const shipped = await readFile(SHIPPED, 'utf8');
  const file = await writeFileFor(
    t,
    shipped.replace(/^MEDIA_URL = .*$/m, "  MEDIA_URL='https://matrix-media.example.com' # ours"),
  );
  const { text } = await run(file, mediaFlags(server));
  assert.ok(lines(text).includes('  MEDIA_URL="https://media.example.org" # ours'), text);
});

test('the layout both has the routes of the media domain and of the homeserver', async (t) => {
  const server = await startPublic(t);
  const file = await writeFileFor(t);
  await run(file, bothFlags(server));
  const zone_name = 'example.org';
  assert.deepEqual((await readWranglerToml(file)).routes, [
    { pattern: 'media.example.org', custom_domain: true },
    { pattern: 'example.org/.well-known/matrix/*', zone_name },
    { pattern: 'matrix.example.org/_matrix/media/*', zone_name },
    { pattern: 'matrix.example.org/_matrix/client/v1/media/*', zone_name },
    { pattern: 'matrix.example.org/_matrix/federation/v1/media/*', zone_name },
  ]);
});

test('the layout same-host announces nothing and has no domain of its own', async (t) => {
  const server = await startPublic(t);
  const file = await writeFileFor(t);
  const { code, said } = await run(file, [...bothFlags(server), '--layout', 'same-host']);
  assert.equal(code, 0, said);
  const { vars, routes } = await readWranglerToml(file);
  assert.equal(vars.MEDIA_URL, 'https://matrix.example.org');
  assert.ok(routes.every(({ pattern }) => /^matrix\.example\.org\/_(matrix|edge)\//.test(pattern)));
});

test('well-known is left alone where the admin says so', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  const { code } = await run(file, [...mediaFlags(server), '--well-known', 'leave']);
  assert.equal(code, 0);
  assert.deepEqual((await readWranglerToml(file)).routes, [
    { pattern: 'media.example.org', custom_domain: true },
  ]);
});

test('a media domain in another zone than the routed homeserver would loop', async (t) => {
  const server = await startPublic(t);
  const flags = [
    ...mediaFlags(server),
    '--layout',
    'both',
    '--media-host',
    'media.example.net',
    '--zone',
    'example.net',
  ];
  const { code, said } = await run(await writeFileFor(t), [
    ...flags,
    '--homeserver-url',
    'https://matrix.example.org',
    '--dry-run',
  ]);
  assert.equal(code, 4);
  assert.match(said, /bad .* seem to be in two zones/);
});

test('a hand edit stops a run that nobody attends', async (t) => {
  const server = await startStandIn(t);
  const shipped = await readFile(SHIPPED, 'utf8');
  const edited = shipped.replace(/^MEDIA_URL = .*$/m, 'MEDIA_URL = "https://cdn.example.org"');
  const file = await writeFileFor(t, edited);
  const { code, said, text } = await run(file, mediaFlags(server));
  assert.equal(code, 3);
  assert.match(
    said,
    /- MEDIA_URL = "https:\/\/cdn\.example\.org"\n\+ MEDIA_URL = "https:\/\/media\.example\.org"/,
  );
  assert.equal(text, edited);
});

test('a hand edit is kept or overwritten as the flag says', async (t) => {
  const server = await startStandIn(t);
  const shipped = await readFile(SHIPPED, 'utf8');
  const edited = shipped.replace(/^MEDIA_URL = .*$/m, 'MEDIA_URL = "https://cdn.example.org"');
  for (const [flag, kept] of [
    ['--keep', 'https://cdn.example.org'],
    ['--overwrite', 'https://media.example.org'],
  ]) {
    const file = await writeFileFor(t, edited);
    const { code } = await run(file, [...mediaFlags(server), flag]);
    assert.equal(code, 0);
    assert.equal((await readWranglerToml(file)).vars.MEDIA_URL, kept, flag);
    assert.equal((await readWranglerToml(file)).vars.HOMESERVER_URL, server.url, flag);
  }
});

test("a route of the admin's own is not removed unasked", async (t) => {
  const server = await startStandIn(t);
  const own = '\n[[routes]]\n# the old name\npattern = "old.example.org"\ncustom_domain = true\n';
  const file = await writeFileFor(t, `${await readFile(SHIPPED, 'utf8')}${own}`);
  assert.equal((await run(file, mediaFlags(server))).code, 3);

  const { code, text } = await run(file, [...mediaFlags(server), '--overwrite']);
  assert.equal(code, 0);
  assert.ok(
    !(await readWranglerToml(file)).routes.some(({ pattern }) => pattern === 'old.example.org'),
  );
  assert.ok(lines(text).includes('# the old name'), 'its comment is gone');
});

test('another layout takes the routes of the one before with it', async (t) => {
  const server = await startPublic(t);
  const file = await writeFileFor(t);
  await run(file, bothFlags(server));
  const { code } = await run(file, [...bothFlags(server), '--layout', 'same-host', '--overwrite']);
  assert.equal(code, 0);
  assert.equal((await readWranglerToml(file)).routes.length, 4);
});

test('a file in another layout is left as it is, and what to write is told', async (t) => {
  const server = await startStandIn(t);
  const edited = 'name = "edge"\ncompatibility_date = "2026-04-20"\nvars.LEASE_SECONDS = "0"\n';
  const file = await writeFileFor(t, edited);
  const { code, said, text } = await run(file, mediaFlags(server));
  assert.equal(code, 1);
  assert.match(said, /\+ SERVER_NAME = "example\.org"/);
  assert.equal(text, edited);
});

test('a file that is no TOML is told of', async (t) => {
  const file = await writeFileFor(t, 'name = \n');
  const { code, said } = await run(file, []);
  assert.equal(code, 1);
  assert.match(said, /Invalid TOML/);
});

test('a dry run writes nothing', async (t) => {
  const server = await startStandIn(t);
  const shipped = await readFile(SHIPPED, 'utf8');
  const { code, said, text } = await run(await writeFileFor(t), [
    ...mediaFlags(server),
    '--dry-run',
  ]);
  assert.equal(code, 0);
  assert.match(said, /\+ MEDIA_URL = "https:\/\/media\.example\.org"/);
  assert.equal(text, shipped);
});

test('what will be deployed and what stays is told before anything is written', async (t) => {
  const server = await startPublic(t);
  const { said } = await run(await writeFileFor(t), [...bothFlags(server), '--dry-run']);
  assert.match(said, /the Worker matrix-media-edge\n {2}media\.example\.org: a domain of its own/);
  assert.match(said, /What stays as it is\n {2}the homeserver at/);
});

test('wrangler would deploy what was written', async (t) => {
  const server = await startPublic(t);
  // The Worker itself is not what this is about.
  const shipped = await readFile(SHIPPED, 'utf8');
  const file = await writeFileFor(
    t,
    shipped.replace(/^main = .*$/m, 'main = "index.js"').replace(/^\[build\]$[^[]*/m, ''),
  );
  await writeFile(join(dirname(file), 'index.js'), 'export default {};');
  const { code, said } = await run(file, bothFlags(server));
  assert.equal(code, 0, said);

  const env = {
    ...process.env,
    CI: '1',
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  };
  const wrangler = `${ROOT}/node_modules/.bin/wrangler`;
  const argv = [wrangler, 'deploy', '--dry-run', '--config', file];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { env, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /env\.MEDIA_URL \("https:\/\/media\.example\.org"\)/);
  assert.doesNotMatch(`${stdout}${stderr}`, /unexpected|deprecated/i);
});

test('the environments that are proposed are of the layouts that configure writes', async (t) => {
  const shipped = await readFile(SHIPPED, 'utf8');
  const start = shipped.indexOf('# [env.');
  const proposed = shipped.slice(start).replace(/^# ?/gm, '');
  const file = await writeFileFor(t, shipped.slice(0, start) + proposed);
  const federation = { host: 'matrix.example.com', port: 443 };
  for (const layout of ['media', 'same-host', 'both']) {
    const { name, vars, routes } = await readWranglerToml(file, layout);
    assert.equal(name, `matrix-media-edge-${layout}`);
    assert.deepEqual(Object.keys(vars), ['HOMESERVER_URL', 'SERVER_NAME', 'MEDIA_URL']);
    const names = {
      announces: layout !== 'same-host',
      serverName: { host: 'example.com' },
      mediaHost: 'matrix-media.example.com',
      publicHost: 'matrix.example.com',
    };
    assert.deepEqual(
      routes,
      routesOf({ layout, ...names, federation }, () => 'example.com'),
    );
  }
});
