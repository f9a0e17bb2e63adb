// What `make configure` asks, what it makes of answers and flags, and how it ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { readWranglerToml } from '../../scripts/admin/wrangler-config.mjs';
import { mediaFlags, run, writeFileFor } from './run.mjs';
import { startStandIn } from './stand-in.mjs';

const PROGRAM = fileURLToPath(new URL('../../scripts/admin/configure-main.mjs', import.meta.url));

/** Only what can't be asked for. */
function places({ url }) {
  return ['--well-known-url', url, '--zone', 'example.org'];
}

test('somebody at a terminal is asked for all that is needed', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  const answers = ['example.org', 'media', 'media.example.org', 'y'];
  const { code, said } = await run(file, places(server), { answers });
  assert.equal(code, 0, said);
  assert.equal((await readWranglerToml(file)).vars.MEDIA_URL, 'https://media.example.org');
});

test('nonsense is asked about again, with what is wrong', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  const answers = [
    'https://example.org',
    '',
    'example.org',
    'all',
    'media',
    'localhost',
    'media.example.org',
    'maybe',
    'yes',
  ];
  const { code, said } = await run(file, places(server), { answers });
  assert.equal(code, 0, said);
  assert.match(said, /It must be a Matrix server name/);
  assert.match(said, /It must be one of media, same-host, both/);
  assert.match(said, /It must be a domain/);
  assert.match(said, /It must be y or n/);
});

test('nonsense without end ends it', async (t) => {
  const answers = Array.from({ length: 5 }, () => '\u0000');
  const { code } = await run(await writeFileFor(t), [], { answers });
  assert.equal(code, 2);
});

test('a no writes nothing', async (t) => {
  const server = await startStandIn(t);
  const flags = mediaFlags(server).filter((flag) => flag !== '--yes');
  const { code, text } = await run(await writeFileFor(t), flags, { answers: [''] });
  assert.equal(code, 3);
  assert.ok(!text.includes(server.url));
});

test('what the file says is proposed', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  await run(file, mediaFlags(server));
  const { code, said } = await run(file, ['--zone', 'example.org'], { answers: ['', '', ''] });
  assert.equal(code, 0, said);
  assert.match(said, /The server name .* \[example\.org\]: /);
  assert.match(said, /The domain for media alone \[media\.example\.org\]: /);
});

test('each hand edit is asked about', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  await run(file, mediaFlags(server));
  const flags = [...mediaFlags(server), '--media-host', 'cdn.example.org'];
  const refused = await run(file, flags, { answers: ['n', 'n'] });
  assert.equal(refused.code, 0, refused.said);
  assert.match(refused.said, /Written by hand:\n- MEDIA_URL = "https:\/\/media\.example\.org"/);
  assert.equal((await readWranglerToml(file)).vars.MEDIA_URL, 'https://media.example.org');

  await run(file, flags, { answers: ['y', 'y', 'y'] });
  assert.equal((await readWranglerToml(file)).vars.MEDIA_URL, 'https://cdn.example.org');
});

test('a failed check can be overruled at a terminal', async (t) => {
  const server = await startStandIn(t, () => ({ '/.well-known/matrix/client': { json: {} } }));
  const flags = mediaFlags(server).filter((flag) => flag !== '--yes');
  const { code, said } = await run(await writeFileFor(t), flags, { answers: ['y'] });
  assert.equal(code, 0);
  assert.match(said, /A check went wrong/);
});

test('a flag that makes no sense is named', async (t) => {
  const file = await writeFileFor(t);
  for (const [flag, value] of [
    ['--server-name', 'https://example.org'],
    ['--layout', 'round'],
    ['--media-host', 'media.example.org/path'],
    ['--homeserver-url', 'http://matrix.example.org'],
    ['--public-host', '127.0.0.1'],
    ['--well-known-url', 'example.org'],
    ['--well-known', 'yes'],
    ['--zone', ''],
    ['--colour', 'blue'],
  ]) {
    const { code, said } = await run(file, [`${flag}=${value}`]);
    assert.equal(code, 2, flag);
    assert.ok(said.startsWith(`configure: ${flag} `), said);
  }
});

test('a bad token is refused without telling it', async (t) => {
  const { code, said } = await run(await writeFileFor(t), ['--token', 'hunter2 hunter2']);
  assert.equal(code, 2);
  assert.ok(!said.includes('hunter2'), said);
});

test('bad headers are refused without telling them', async (t) => {
  for (const value of [
    'hunter2',
    '["hunter2"',
    '{"a":2}',
    '{"a b":"hunter2"}',
    '{"a":"hunter2\\n"}',
  ]) {
    const { code, said } = await run(await writeFileFor(t), [], { env: { ORIGIN_HEADERS: value } });
    assert.equal(code, 2, value);
    assert.ok(!said.includes('hunter2'), said);
  }
});

test('a media host that serves other things is refused', async (t) => {
  const server = await startStandIn(t);
  const { code, said } = await run(await writeFileFor(t), [
    ...mediaFlags(server),
    '--media-host',
    'example.org',
  ]);
  assert.equal(code, 2);
  assert.match(said, /the media host must be a name of its own/);
});

test("a host without a name can't have routes", async (t) => {
  const server = await startStandIn(t);
  const { code, said } = await run(await writeFileFor(t), [
    ...mediaFlags(server),
    '--layout',
    'same-host',
  ]);
  assert.equal(code, 2);
  assert.match(said, /--public-host/);
});

test('what is missing is named where nobody can be asked', async (t) => {
  const { code, said } = await run(await writeFileFor(t), []);
  assert.equal(code, 2);
  assert.match(said, /--server-name is missing/);
});

test('without a terminal and --yes nothing is written', async (t) => {
  const server = await startStandIn(t);
  const flags = mediaFlags(server).filter((flag) => flag !== '--yes');
  const { code, text } = await run(await writeFileFor(t), flags);
  assert.equal(code, 3);
  assert.ok(!text.includes(server.url));
});

test('a zone that DNS knows needs no flag', async (t) => {
  const server = await startStandIn(t);
  const flags = [
    '--server-name',
    'example.org',
    '--layout',
    'media',
    '--media-host',
    'media.example.org',
    '--yes',
  ];
  const file = await writeFileFor(t);
  const findZone = async () => ({ zone: 'org', isCloudflare: false });
  const { said } = await run(file, [...flags, '--well-known-url', server.url], { findZone });
  assert.match(said, /the zone org of media\.example\.org is not at Cloudflare/);
  assert.equal((await readWranglerToml(file)).routes[1].zone_name, 'org');
});

test('the program ends with the same codes', async (t) => {
  const server = await startStandIn(t);
  const file = await writeFileFor(t);
  const exit = async (...flags) => {
    const program = spawn(process.execPath, [PROGRAM, '--config', file, ...flags], {
      stdio: 'ignore',
    });
    return (await once(program, 'exit'))[0];
  };
  assert.equal(await exit('--help'), 0);
  assert.equal(await exit('--layout', 'round'), 2);
  assert.equal(await exit(...mediaFlags(server).filter((flag) => flag !== '--yes')), 3);
});
