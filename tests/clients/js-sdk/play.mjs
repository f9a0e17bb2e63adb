// Plays the story of `tests/clients` with matrix-js-sdk in a real browser: see `main.rs` there.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

import { fail, launch } from '../../browser/browser.mjs';

const WHOLE_PATIENCE_MS = 110_000;
const ASYNCHRONOUS_PATIENCE_MS = 20_000;

const { edges, passwords, settings, picture, sizes, reads } = JSON.parse(process.argv[2]);
setTimeout(() => fail('The browser hangs'), WHOLE_PATIENCE_MS).unref();

const script = (body) => ({ headers: { 'Content-Type': 'text/javascript' }, body });
const { onPage, close } = await launch(
  [`--host-resolver-rules=${names().join(', ')}`, '--ignore-certificate-errors'],
  { '/page.js': script(await bundle('page.js')), '/worker.js': script(await bundle('worker.js')) },
);
try {
  const told = {};
  for (const [name, setting] of Object.entries(settings)) told[name] = await play(setting);
  console.log(JSON.stringify(told));
} finally {
  await close();
}

// The domain of an edge, and all below it.
function names() {
  return Object.entries(edges).flatMap(([domain, address]) =>
    [`MAP ${domain} ${address}`, `MAP *.${domain} ${address}`]);
}

async function bundle(file) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    bundle: true,
    write: false,
    format: 'iife',
    // matrix-js-sdk loads its cryptography when it is asked for it, which media never does.
    external: ['@matrix-org/matrix-sdk-crypto-wasm'],
    logLevel: 'error',
  });
  return outputFiles[0].text;
}

async function play({ domain, homeserver, media }) {
  const logIn = (user) => ({ homeserver, mediaUrl: media, user, password: passwords[user] });
  return onApplication(async (alice) => onApplication(async (bob) => onApplication(async (carol) => {
    const discovered = await alice('discover', domain);
    await alice('logIn', logIn('alice'));
    await bob('logIn', logIn('bob'));
    await carol('registerGuest', { homeserver, mediaUrl: media });

    const file = await alice('uploadFile', sizes.file);
    file.reads = [];
    for (let read = 0; read < reads; read++) file.reads.push(await bob('read', { uri: file.uri }));
    file.readByGuest = await carol('read', { uri: file.uri });

    const squares = await alice('uploadPicture', readFileSync(picture, 'base64'));
    squares.thumbnail = await bob('readThumbnail', squares.uri);
    squares.alone = await carol('show', squares.uri);
    await carol('startWorker');
    squares.withWorker = await carol('show', squares.uri);

    const encrypted = await alice('uploadEncrypted', sizes.encrypted);
    encrypted.read = await bob('readEncrypted', encrypted.file);

    const uri = await alice('create');
    const waiting = bob('read', { uri, timeoutMs: ASYNCHRONOUS_PATIENCE_MS });
    await bob.page.waitForRequest((request) => request.url().includes(uri.slice('mxc://'.length)));
    const asynchronous = await alice('put', { uri, length: sizes.asynchronous });
    asynchronous.read = await waiting;

    await bob('logOut');
    const afterLogout = await bob('read', { uri: file.uri });
    return { discovered, file, squares, encrypted, asynchronous, afterLogout };
  })));
}

// A page of its own, with nothing kept of others, as a function that calls the application in it.
function onApplication(action) {
  return onPage(async (page) => {
    await page.addScriptTag({ url: '/page.js' });
    const call = (name, argument) => page.evaluate(([name, argument]) => app[name](argument), [name, argument]);
    return action(Object.assign(call, { page }));
  });
}
