// `make deploy` and `make rollback`: what they refuse, and what wrangler is told. Cloudflare's
// account is a stand-in; wrangler is the real one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { deploy } from '../../scripts/admin/deploy.mjs';
import { wrangler } from '../../scripts/admin/wrangler.mjs';
import { DEPLOYED, EARLIER, startCloudflare, UPLOADED } from './cloudflare.mjs';
import { SHIPPED, writeFileFor } from './run.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WORKER = '/workers/scripts/edge';

const CONFIGURATION = `
name = "edge"
main = "index.js"
compatibility_date = "2026-04-20"
workers_dev = false
[vars]
HOMESERVER_URL = "https://matrix.chat.test"
SERVER_NAME = "chat.test"
MEDIA_URL = "https://media.chat.test"
[[routes]]
pattern = "media.chat.test"
custom_domain = true
`;

async function writeWorker(t, text = CONFIGURATION) {
  const file = await writeFileFor(t, text);
  await writeFile(
    join(dirname(file), 'index.js'),
    'export default { fetch: () => new Response() };',
  );
  return file;
}

/**
 * Runs `deploy` with a wrangler that is only written down: `{ code, said, calls }`. The call
 * `failing` fails.
 */
async function rehearse(file, flags, failing) {
  const [said, calls] = [[], []];
  const wrangler = async (argv, { env }) => {
    const call = argv.join(' ').replace(` --config ${file}`, '');
    calls.push(call);
    if (call === failing) return { code: 7 };
    if (call === 'versions upload') {
      await writeFile(
        env.WRANGLER_OUTPUT_FILE_PATH,
        '{"type":"version-upload","version_id":"newer"}\n',
      );
    }
    const versions = [
      ['new', 20],
      ['old', 80],
    ].map(([version_id, percentage]) => ({ version_id, percentage }));
    return { code: 0, output: JSON.stringify({ versions }) };
  };
  const code = await deploy(flags, { file, say: (line) => said.push(line), wrangler });
  return { code, said: said.join('\n'), calls };
}

/** Runs `deploy` with the real wrangler, in this account: `{ code, said }`. */
async function deployTo({ url }, file, flags) {
  const account = {
    CLOUDFLARE_API_BASE_URL: url,
    CLOUDFLARE_API_TOKEN: 'token',
    CLOUDFLARE_ACCOUNT_ID: 'account',
  };
  const quiet = { CI: '1', WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG: 'error' };
  const said = [];
  const code = await deploy(flags, {
    file,
    say: (line) => said.push(line),
    wrangler: (argv, { env, reads }) =>
      wrangler(argv, { env: { ...quiet, ...account, ...env }, reads }),
  });
  return { code, said: said.join('\n') };
}

/** The shares that deployments gave their versions. */
function shares({ writes }) {
  const deployments = writes.filter(({ path }) => path === `${WORKER}/deployments`);
  return deployments.map(({ json }) =>
    json.versions.map(({ version_id, percentage }) => [version_id, percentage]),
  );
}

test('the shipped wrangler.toml is refused with all that is wrong', async () => {
  const { code, said, calls } = await rehearse(fileURLToPath(SHIPPED), []);
  assert.equal(code, 4);
  assert.match(said, /SERVER_NAME is still an example/);
  assert.match(said, /no route leads to the Worker/);
  assert.deepEqual(calls, []);
});

test('what could not work is refused', async (t) => {
  for (const [line, wrong, reason] of [
    [
      'https://matrix.chat.test',
      'http://127.0.0.1:8008',
      /HOMESERVER_URL is out of Cloudflare's reach/,
    ],
    [
      'https://matrix.chat.test',
      'https://10.0.0.1',
      /HOMESERVER_URL is out of Cloudflare's reach/,
    ],
    [
      'https://matrix.chat.test',
      'https://8.8.8.8',
      /HOMESERVER_URL must have a name for a host/,
    ],
    [
      'https://media.chat.test',
      'https://media.chat.test/path',
      /MEDIA_URL must be a scheme and a host only/,
    ],
    ['"chat.test"', '""', /SERVER_NAME is not set/],
    [
      'pattern = "media.chat.test"',
      'pattern = "matrix.example.com/*"',
      /a route is still an example/,
    ],
  ]) {
    const { code, said, calls } = await rehearse(
      await writeWorker(t, CONFIGURATION.replace(line, wrong)),
      [],
    );
    assert.equal(code, 4);
    assert.match(said, reason);
    assert.deepEqual(calls, []);
  }
});

test('a port that the proxy of Cloudflare does not take is told, and deployed', async (t) => {
  for (const [port, isOdd] of [
    [8448, true],
    [8443, false],
  ]) {
    const url = `https://matrix.chat.test:${port}`;
    const file = await writeWorker(t, CONFIGURATION.replace('https://matrix.chat.test', url));
    const { code, said } = await rehearse(file, []);
    assert.equal(code, 0, said);
    assert.equal(said.includes(`HOMESERVER_URL is at port ${port}`), isOdd, said);
  }
});

test('a deployment is tried dry before it is made', async (t) => {
  const { code, said, calls } = await rehearse(await writeWorker(t), []);
  assert.equal(code, 0, said);
  assert.deepEqual(calls, ['deploy --dry-run', 'deploy']);
});

test('a gradual deployment shares with the version that has most requests', async (t) => {
  const { code, said, calls } = await rehearse(await writeWorker(t), ['--gradual', '10']);
  assert.equal(code, 0, said);
  assert.deepEqual(calls, [
    'deployments status --json',
    'versions upload',
    'versions deploy newer@10 old@90 --yes',
  ]);
});

test('nothing comes after a command that failed', async (t) => {
  const file = await writeWorker(t);
  for (const [failing, flags] of [
    ['deploy --dry-run', []],
    ['deployments status --json', ['--gradual', '10']],
    ['versions upload', ['--gradual', '10']],
  ]) {
    const { code, calls } = await rehearse(file, flags, failing);
    assert.equal(code, 1);
    assert.equal(calls.at(-1), failing);
  }
});

test('a share that is none is refused', async (t) => {
  const file = await writeWorker(t);
  for (const share of ['0', '100', '-1', 'ten', '1.5', '']) {
    const { code, calls } = await rehearse(file, [`--gradual=${share}`]);
    assert.deepEqual([code, calls], [2, []], share);
  }
});

test('an environment is checked and named to wrangler', async (t) => {
  const file = await writeWorker(t, `${CONFIGURATION}[env.trial]\n`);
  const { said } = await rehearse(file, ['--env', 'trial']);
  assert.match(said, /HOMESERVER_URL is not set/);
  const { calls } = await rehearse(file, ['--rollback', '--env', 'trial', '--version', 'abc']);
  assert.deepEqual(calls, ['rollback abc --env trial']);
});

test('make passes on what it is given', () => {
  // The tests are run by make too, whose own flags are none of theirs.
  const env = { ...process.env, MAKEFLAGS: '', MAKELEVEL: '0' };
  const make = (...argv) =>
    spawnSync('make', ['-n', ...argv], { cwd: ROOT, env, encoding: 'utf8' }).stdout.trim();
  assert.equal(
    make('deploy', 'GRADUAL=10', 'ENV=trial'),
    'scripts/deploy --gradual 10 --env trial',
  );
  assert.equal(make('rollback', 'VERSION=abc'), 'scripts/deploy --rollback --version abc');
});

test('wrangler gives an uploaded version all requests, and its domain', async (t) => {
  const cloudflare = await startCloudflare(t);
  const { code, said } = await deployTo(cloudflare, await writeWorker(t), []);
  assert.equal(code, 0, said);
  assert.deepEqual(shares(cloudflare), [[[UPLOADED, 100]]]);
  const domains = cloudflare.writes.find(({ path }) => path === `${WORKER}/domains/records`);
  assert.deepEqual(
    domains.json.origins.map(({ hostname }) => hostname),
    ['media.chat.test'],
  );
});

test('wrangler shares the requests of a gradual deployment and leaves routes alone', async (t) => {
  const cloudflare = await startCloudflare(t);
  const { code, said } = await deployTo(cloudflare, await writeWorker(t), ['--gradual', '10']);
  assert.equal(code, 0, said);
  assert.deepEqual(shares(cloudflare), [
    [
      [UPLOADED, 10],
      [DEPLOYED, 90],
    ],
  ]);
  assert.deepEqual(
    cloudflare.writes.map(({ path }) => path),
    [`${WORKER}/versions`, `${WORKER}/deployments`],
  );
});

test('wrangler takes a gradual deployment back to the version before it', async (t) => {
  const cloudflare = await startCloudflare(t, {
    deployments: [
      [
        [UPLOADED, 10],
        [DEPLOYED, 90],
      ],
      [[DEPLOYED, 100]],
      [[EARLIER, 100]],
    ],
  });
  const { code, said } = await deployTo(cloudflare, await writeWorker(t), ['--rollback']);
  assert.equal(code, 0, said);
  assert.deepEqual(shares(cloudflare), [[[DEPLOYED, 100]]]);
});
