// `make check`: what it finds of an edge that is right, of one that is wrong, and of the real Worker.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { ask } from '../../scripts/admin/ask.mjs';
import { routedUrls } from '../../scripts/admin/check-options.mjs';
import { check } from '../../scripts/admin/check.mjs';
import { startEdge } from './edge.mjs';
import {
  ADMIN_TOKEN,
  startHomeserver,
  startLiveEdge,
  TOKEN,
  withJson,
  withPage,
} from './live-stand-in.mjs';
import { writeFileFor } from './run.mjs';

const DOWNLOAD = '/_matrix/client/v1/media/download/';
const CONFIG = '/_matrix/client/v1/media/config';
const UPLOAD = '/_matrix/media/v3/upload';
const SECRETS = { MATRIX_ACCESS_TOKEN: TOKEN, ADMIN_TOKEN };

/** One run: `{ code, said }`. */
async function run(argv, { env = SECRETS, file, asks = ask, pauses = async () => {} } = {}) {
  const said = [];
  const say = (line) => said.push(line);
  const world = { env, file: file ?? '/nowhere', say, ask: asks, pause: pauses, randomBytes };
  const code = await check(argv, world);
  return { code, said: said.join('\n') };
}

const flags = ({ url }) => [
  ...['--media-url', url, '--server-name', 'example.org', '--well-known-url', url],
];

/** What is found of an edge that does something else. */
async function find(t, wrong) {
  return run(flags(await startLiveEdge(t, wrong)));
}

test('an edge that is as it should be is found so', async (t) => {
  const edge = await startLiveEdge(t);
  const { code, said } = await run(flags(edge));
  assert.equal(code, 0, said);
  assert.doesNotMatch(said, /^ {2}(bad|note)/m);
  for (const what of [
    `${edge.url}${CONFIG} leads through the Worker`,
    '/_edge/status reports no problem',
    `client names ${edge.url}`,
    'an upload arrives, with its length',
    'a file is read 3 times, and cached after the first',
    'a part of it is read by itself',
    'HEAD tells its length',
    'a text keeps its length and tag where gzip is accepted',
    'self-test, Homeserver: It answers',
  ]) {
    assert.ok(said.includes(what), `${what}: ${said}`);
  }
});

test('no secret is printed, and each goes only where it is for', async (t) => {
  const wrong = () => ({
    '/_edge/selftest': withJson(200, {
      checks: [{ check: TOKEN, level: 'bad', found: ADMIN_TOKEN, cure: `${TOKEN}.` }],
    }),
  });
  const edge = await startLiveEdge(t, wrong);
  const { code, said } = await run(flags(edge));
  assert.equal(code, 1);
  assert.ok(!said.includes(TOKEN) && !said.includes(ADMIN_TOKEN), said);
  for (const { url, headers } of edge.requests) {
    const shown = headers.authorization;
    const due = url.startsWith('/_edge/selftest')
      ? `Bearer ${ADMIN_TOKEN}`
      : url.startsWith(UPLOAD) || url.startsWith(DOWNLOAD)
        ? `Bearer ${TOKEN}`
        : undefined;
    assert.equal(shown, due, url);
    assert.ok(!url.includes(TOKEN) && !url.includes(ADMIN_TOKEN), url);
  }
});

test('nothing is left on disk', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'check-'));
  t.after(() => rm(folder, { recursive: true }));
  const before = process.cwd();
  process.chdir(folder);
  t.after(() => process.chdir(before));
  await find(t);
  assert.deepEqual(await readdir(folder), []);
});

test('without secrets the rest is checked, and what is missing is told', async (t) => {
  const edge = await startLiveEdge(t);
  const { code, said } = await run(flags(edge), { env: {} });
  assert.equal(code, 0, said);
  assert.match(said, /note {2}media was not uploaded and read\n.*MATRIX_ACCESS_TOKEN/);
  assert.match(said, /note {2}the self-test was not run\n.*ADMIN_TOKEN/);
  assert.ok(edge.requests.every(({ method }) => method === 'GET'));
});

const change = (headers) => (sent) => ({ ...sent, headers: { ...sent.headers, ...headers } });

/** Each fault of an edge, with what is found and how its fix begins. */
const FAULTS = {
  'a route that leads past the Worker': [
    { [CONFIG]: withJson(401, { errcode: 'M_MISSING_TOKEN' }) },
    /config is not answered by the Worker \(status 401, M_MISSING_TOKEN\)\n +See that wrangler.toml has a route/,
  ],
  'a wall before a route': [
    { [CONFIG]: withPage(403, { 'cf-mitigated': 'challenge' }) },
    /config answers with a bot wall \(status 403\)\n +Let programs in/,
  ],
  "a homeserver that the Worker can't ask": [
    {
      [CONFIG]: withJson(
        502,
        { errcode: 'M_UNKNOWN' },
        { 'Cache-Status': 'matrix-media-edge; fwd=bypass' },
      ),
    },
    /config is answered by the Worker with 502 \(M_UNKNOWN\)\n +The Worker can't ask the homeserver/,
  ],
  "another server's Worker": [
    { '/_edge/status': withJson(200, { ok: true, server_name: 'other.example' }) },
    /status is other.example's, not example.org's\n +Another server's Worker/,
  ],
  'a status that is not there': [
    { '/_edge/status': withJson(404, { errcode: 'M_UNRECOGNIZED' }) },
    /status answers with status 404, M_UNRECOGNIZED\n +See that MEDIA_URL leads to the Worker/,
  ],
  'a document that is a page': [
    { '/.well-known/matrix/client': withPage(200) },
    /client answers with a page of HTML \(status 200\)\n +Clients can't log in by it/,
  ],
  'an upload without a length': [
    { [UPLOAD]: withJson(400, { errcode: 'M_UNKNOWN' }) },
    /an upload is answered with status 400, M_UNKNOWN\n +Where the error speaks of a Content-Length/,
  ],
  'an upload to another server': [
    { [UPLOAD]: withJson(200, { content_uri: 'mxc://other.example/abc' }) },
    /an upload is other.example's, not example.org's\n +SERVER_NAME must be/,
  ],
  'a token that is refused': [
    { [UPLOAD]: withJson(401, { errcode: 'M_UNKNOWN_TOKEN' }) },
    /an upload is answered with status 401, M_UNKNOWN_TOKEN\n +MATRIX_ACCESS_TOKEN is no token/,
  ],
  'media that is never cached': [
    {
      [DOWNLOAD]: (sent) => ({
        ...sent,
        headers: {
          ...sent.headers,
          'Server-Timing': 'origin;dur=1',
          'Cache-Status': 'matrix-media-edge; fwd=uri-miss; fwd-status=200; detail=set-cookie',
        },
      }),
    },
    /a file is not cached after 3 reads \(.*detail=set-cookie\)\n +docs\/troubleshooting.md/,
  ],
  'other bytes': [
    { [DOWNLOAD]: (sent) => ({ ...sent, body: Buffer.alloc(sent.body.length) }) },
    /a download is answered with other bytes than were uploaded/,
  ],
  'a download that passes by the Worker': [
    { [DOWNLOAD]: change({ 'Cache-Status': 'other; hit' }) },
    /a download has no Cache-Status of the Worker/,
  ],
  'a range that is not heeded': [
    {
      [DOWNLOAD]: (sent, { headers }) =>
        headers.range === undefined ? sent : { ...sent, status: 200, body: Buffer.alloc(100) },
    },
    /a part of it is answered with no JSON object \(status 200\)\n +Videos can't be sought in/,
  ],
  'another range than was asked for': [
    {
      [DOWNLOAD]: (sent, { headers }) =>
        headers.range === undefined ? sent : change({ 'Content-Range': 'bytes 0-99/100' })(sent),
    },
    /a part of it is answered with another range than was asked for/,
  ],
  'a HEAD without a length': [
    {
      [DOWNLOAD]: (sent, { method }) =>
        method === 'HEAD' ? change({ 'Content-Length': 0 })(sent) : sent,
    },
    /HEAD is answered with another length \(0\)/,
  ],
  'a text that is compressed': [
    {
      [DOWNLOAD]: (sent, { headers }) => {
        if (headers['accept-encoding'] !== 'gzip') return sent;
        const body = gzipSync(sent.body);
        return { ...change({ 'Content-Encoding': 'gzip', 'Content-Length': body.length })(sent), body };
      },
    },
    /a text is compressed on its way \(gzip\)\n +See the compression rules/,
  ],
  'a text whose tag gets weak': [
    {
      [DOWNLOAD]: (sent, { headers }) =>
        headers['accept-encoding'] === 'gzip' ? change({ ETag: `W/${sent.headers.ETag}` })(sent) : sent,
    },
    /a text loses its tag where gzip is accepted/,
  ],
  'a text that loses its length': [
    {
      [DOWNLOAD]: (sent, { headers }) => {
        if (headers['accept-encoding'] !== 'gzip') return sent;
        const { 'Content-Length': _, ...others } = sent.headers;
        return { ...sent, headers: others };
      },
    },
    /a text loses its length where gzip is accepted/,
  ],
  'a self-test that found something': [
    {
      '/_edge/selftest': withJson(200, {
        checks: [{ check: 'Bucket', level: 'bad', found: 'It failed.', cure: 'Fix it.' }],
      }),
    },
    /bad {3}self-test, Bucket: It failed\n +Fix it\.$/m,
  ],
  'a Worker without an ADMIN_TOKEN': [
    { '/_edge/selftest': withJson(404, { errcode: 'M_UNRECOGNIZED' }) },
    /the self-test answers with status 404, M_UNRECOGNIZED\n +Give the Worker an ADMIN_TOKEN/,
  ],
  'a Worker with another ADMIN_TOKEN': [
    { '/_edge/selftest': withJson(403, { errcode: 'M_FORBIDDEN' }) },
    /the self-test answers with status 403, M_FORBIDDEN\n +ADMIN_TOKEN of the environment is not/,
  ],
};

for (const [name, [wrong, expected]] of Object.entries(FAULTS)) {
  test(`${name} is found, with a fix`, async (t) => {
    const { code, said } = await find(t, () => wrong);
    assert.match(said, expected);
    assert.equal(said.match(/^ {2}bad/gm)?.length, 1, said);
    assert.equal(code, 1);
  });
}

test('what is only worth a look is no error', async (t) => {
  const seen = new Set();
  const { code, said } = await find(t, () => ({
    '/_edge/status': withJson(200, { ok: false, server_name: 'example.org' }),
    '/.well-known/matrix/server': withJson(404, { errcode: 'M_NOT_FOUND' }),
    [DOWNLOAD]: (sent, { headers, method }) => {
      const isSecond = sent.headers['Server-Timing'] !== undefined && !seen.has('second');
      if (isSecond && method === 'GET' && headers.range === undefined) seen.add('second');
      return isSecond ? change({ 'Server-Timing': 'origin;dur=1' })(sent) : sent;
    },
  }));
  assert.equal(code, 0, said);
  assert.match(said, /note .*reports a problem\n +Open .*\/_edge\/ in a browser/);
  assert.match(said, /note .*server: there is none/);
  assert.match(said, /note {2}a file is cached only after 2 reads/);
});

test('documents are compared with what they were before', async (t) => {
  const saved = join(await mkdtemp(join(tmpdir(), 'check-')), 'documents.json');
  t.after(() => rm(join(saved, '..'), { recursive: true }));
  const before = { 'm.homeserver': { base_url: 'https://matrix.example.org' }, extra: [1, { a: 2 }] };
  let now = before;
  const edge = await startLiveEdge(t, () => ({
    '/.well-known/matrix/client': (...args) => withJson(200, now)(...args),
    '/.well-known/matrix/server': withJson(404, { errcode: 'M_NOT_FOUND' }),
  }));
  const save = await run([...flags(edge), '--save', saved]);
  assert.equal(save.code, 0, save.said);
  assert.deepEqual(JSON.parse(await readFile(saved, 'utf8')).client.object, before);
  assert.ok(edge.requests.every(({ headers }) => headers.authorization === undefined));

  const compare = () => run([...flags(edge), '--compare', saved], { env: {} });
  now = { ...before, 'm.media_server': { base_url: edge.url } };
  const same = await compare();
  assert.equal(same.code, 0, same.said);
  assert.match(same.said, /ok {4}the document for clients is what it was, but for the member/);
  for (const changed of [{ ...now, extra: [1, { a: 3 }] }, { ...now, more: 1 }, { extra: 1 }]) {
    now = { 'm.homeserver': { base_url: edge.url }, ...changed };
    const { code, said } = await compare();
    assert.equal(code, 1, said);
    assert.match(said, /bad {3}the document for clients has changed: \d of its members\n +Go back/);
  }
});

test('a document that is gone since is an error', async (t) => {
  const saved = await writeFileFor(t, JSON.stringify({ client: { state: 'found', object: {} } }));
  const edge = await startLiveEdge(t, () => ({
    '/.well-known/matrix/client': withJson(404, { errcode: 'M_NOT_FOUND' }),
  }));
  const { code, said } = await run([...flags(edge), '--compare', saved], { env: {} });
  assert.equal(code, 1);
  assert.match(said, /bad {3}the document for clients was there before and is not now/);
});

test('addresses come from wrangler.toml', async (t) => {
  const edge = await startLiveEdge(t);
  const file = await writeFileFor(
    t,
    [
      'name = "edge"',
      'compatibility_date = "2026-08-03"',
      '[vars]',
      `MEDIA_URL = "${edge.url}"`,
      `WELL_KNOWN_URL = "${edge.url}"`,
      'SERVER_NAME = "example.org"',
    ].join('\n'),
  );
  const { code, said } = await run([], { file });
  assert.equal(code, 0, said);
});

test('each route of the media paths is asked once', () => {
  const routes = [
    { pattern: 'media.example.org', custom_domain: true },
    { pattern: 'matrix.example.org/_matrix/media/*' },
    { pattern: 'matrix.example.org/_matrix/client/v1/media/*' },
    { pattern: 'federation.example.org/_matrix/federation/v1/media/*' },
    { pattern: 'example.org/.well-known/matrix/*' },
    { pattern: 'matrix.example.org/_edge/*' },
  ];
  assert.deepEqual(routedUrls('https://media.example.org', [], routes), [
    'https://media.example.org/_matrix/client/v1/media/config',
    'https://matrix.example.org/_matrix/media/v3/config',
    'https://matrix.example.org/_matrix/client/v1/media/config',
    'https://federation.example.org/_matrix/federation/v1/media/edge-check',
  ]);
  assert.equal(routedUrls('https://media.example.org', ['matrix.example.org'], []).length, 4);
});

test('what makes no sense is said, and nobody is asked', async () => {
  const asks = async () => assert.fail('nobody is to be asked');
  const given = ['--media-url', 'https://media.example.org', '--server-name', 'example.org'];
  for (const [argv, env, reason] of [
    [['--nonsense'], {}, /Unknown option '--nonsense'.*see --help/],
    [['--media-url', 'media.example.org', '--server-name', 'a'], {}, /--media-url must start with/],
    [given.with(3, 'https://a'), {}, /--server-name must be a Matrix server name/],
    [[...given, '--host', 'a/b'], {}, /--host must be a domain/],
    [given, { MATRIX_ACCESS_TOKEN: 'a b' }, /MATRIX_ACCESS_TOKEN has characters/],
  ]) {
    const { code, said } = await run(argv, { env, asks });
    assert.equal(code, 2, said);
    assert.match(said, reason);
    assert.ok(!said.includes('a b'), said);
  }
});

test('the command has help, and says what it needs', async () => {
  const { code, said } = await run(['--help']);
  assert.equal(code, 0);
  for (const word of ['MATRIX_ACCESS_TOKEN', 'ADMIN_TOKEN', '--compare']) assert.ok(said.includes(word));
});

/** Asks the Worker at this address, whatever the host of the URL, as Cloudflare passes requests on. */
const asking = (address) => async (url, options = {}) => {
  const { host, pathname, search } = new URL(url);
  const headers = { Host: host, 'CF-Connecting-IP': '192.0.2.1', ...options.headers };
  return { ...(await ask(`http://${address}${pathname}${search}`, { ...options, headers })), url };
};

/** Tells a stand-in of Cloudflare's what to do. */
async function tell(address, method, path, json) {
  await new Promise((resolve, reject) => {
    const sent = request(`http://${address}${path}`, { method, headers: { Host: 'stand-in' } });
    sent.on('response', (answer) => answer.resume().on('end', resolve)).on('error', reject);
    sent.end(JSON.stringify(json));
  });
}

test('the real Worker passes behind stand-ins of the network, until they break', async (t) => {
  const homeserver = await startHomeserver(t);
  const vars = {
    HOMESERVER_URL: homeserver.url,
    SERVER_NAME: 'example.org',
    MEDIA_URL: 'https://media.example.org',
    WELL_KNOWN_URL: homeserver.url,
    ADMIN_TOKEN,
  };
  const layout = {
    bucket: 'r2',
    cloudflareProxy: true,
    cloudflareCache: true,
    cloudflareBucket: true,
  };
  const edge = await startEdge(t, vars, layout);
  const argv = [
    ...['--media-url', vars.MEDIA_URL, '--server-name', 'example.org'],
    ...['--host', 'matrix.example.org'],
  ];
  const realAt = (address) => run(argv, { asks: asking(address), pauses: pause });
  const real = () => realAt(edge.isolates[0]);

  const good = await real();
  assert.equal(good.code, 0, good.said);
  assert.doesNotMatch(good.said, /^ {2}(bad|note)/m);
  assert.match(good.said, /self-test, Revalidation for clients: By a guessed tag/);
  assert.match(good.said, /matrix.example.org\/_matrix\/federation\/v1\/media\/edge-check leads/);

  // The local front compresses texts, whatever they say of that.
  const compressed = await realAt(edge.front);
  assert.equal(compressed.code, 1, compressed.said);
  assert.match(compressed.said, /bad {3}a text is compressed on its way \(gzip\)/);

  await tell(edge.cache, 'PUT', '/settings', { offBy: 'access' });
  const uncached = await real();
  assert.equal(uncached.code, 1, uncached.said);
  assert.match(uncached.said, /bad {3}self-test, Data centre's cache: It took a body of 1 MiB/);

  await tell(edge.cache, 'PUT', '/settings', { offBy: null });
  await tell(edge.proxy, 'POST', '/rules', { contains: homeserver.url, does: 'blocked' });
  const blocked = await real();
  assert.equal(blocked.code, 1, blocked.said);
  assert.match(blocked.said, /config is answered by the Worker with 502/);
  assert.match(blocked.said, /bad {3}self-test, Homeserver: .*\(blocked\)/);
});

test('the command runs by itself', async (t) => {
  const edge = await startLiveEdge(t);
  const main = fileURLToPath(new URL('../../scripts/admin/check-main.mjs', import.meta.url));
  const child = spawn(process.execPath, [main, ...flags(edge)], { env: { PATH: process.env.PATH } });
  const said = (await child.stdout.toArray()).join('');
  const code = await new Promise((resolve) => {
    if (child.exitCode === null) child.on('exit', resolve);
    else resolve(child.exitCode);
  });
  assert.equal(code, 0, said);
  assert.match(said, /leads through the Worker/);
});
