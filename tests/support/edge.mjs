// Runs a built Worker in workerd by Miniflare:
//
//     node edge.mjs <directory of index.js> <variables as a JSON object> <layout as a JSON object>
//
// The layout says how many `neighbors` the Worker has, isolates that share its cache as those of a
// data centre do, and how many other data centres (`pops`): the same with a MEDIA_URL of their own,
// under which they keep a cache of their own. `bucket` gives all of them one, "r2" or "faulty" (see
// stores.mjs), and `metrics` a dataset that "told" writes to the log and that "fails" (see
// metrics.mjs). With `cache: false` nothing stays in a cache. With a `tlsPort` the front speaks TLS
// there. With `collectsGarbage` that is done from time to time (see garbage.mjs); with `isInspected`
// whoever wants to can look into its isolates, one at a time (see held.mjs). Background work is cut
// off `cutsBackgroundMs` after the answer (see cuts.mjs).
//
// Listens on free ports and prints `READY <addresses as a JSON object>`: `front` is Miniflare's own
// front, which does some of what Cloudflare does: it normalizes the target, sets CF-Connecting-IP,
// compresses, and triggers scheduled events. `isolates` and `pops` lead to the Worker as it is,
// `stores` to what they have stored: nothing at first; `inspector` is where they can be looked into.
// Ends on SIGTERM or at the end of its standard input.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { Log, LogLevel, Miniflare } from 'miniflare';

import { collectGarbage } from './garbage.mjs';

const [directory, ...texts] = process.argv.slice(2);
const [variables, layout] = texts.map((text) => JSON.parse(text));
const { neighbors = 0, pops = 0, bucket, metrics, cache = true, tlsPort } = layout;
const { collectsGarbage, isInspected, cutsBackgroundMs } = layout;

const GARBAGE_MILLIS = 15_000;

const COMPATIBILITY_DATE = '2026-04-20';
const COMPATIBILITY_FLAGS = ['enable_request_signal'];
const BUCKET_ID = 'media';
const BINDING = {
  r2: { r2Buckets: { MEDIA_BUCKET: BUCKET_ID } },
  faulty: { serviceBindings: { MEDIA_BUCKET: { name: 'stores', entrypoint: 'Bucket' } } },
};
const METRICS = {
  told: { wrappedBindings: { METRICS: { scriptName: 'metrics', bindings: { fails: false } } } },
  fails: { wrappedBindings: { METRICS: { scriptName: 'metrics', bindings: { fails: true } } } },
};
const support = (file) => resolve(dirname(fileURLToPath(import.meta.url)), file);
const directSocket = { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] };
const built = (file) => resolve(directory, file);
const uncut = {
  modules: true,
  scriptPath: built('index.js'),
  modulesRules: [
    { type: 'ESModule', include: ['**/*.js'] },
    { type: 'CompiledWasm', include: ['**/*.wasm'] },
  ],
};
const cut = () => ({
  modules: [
    { type: 'ESModule', path: built('cuts.mjs'), contents: readFileSync(support('cuts.mjs')) },
    { type: 'ESModule', path: built('index.js') },
    { type: 'CompiledWasm', path: built('index_bg.wasm') },
  ],
});
const worker = (name, bindings) => ({
  name,
  modulesRoot: resolve(directory),
  ...(cutsBackgroundMs ? cut() : uncut),
  compatibilityDate: COMPATIBILITY_DATE,
  compatibilityFlags: COMPATIBILITY_FLAGS,
  bindings: { ...bindings, ...(cutsBackgroundMs && { CUTS_BACKGROUND_MS: cutsBackgroundMs }) },
  cache,
  ...BINDING[bucket],
  ...METRICS[metrics],
  ...directSocket,
});
const numbered = (name, length) => Array.from({ length }, (_, number) => `${name}${number}`);
const names = { isolates: numbered('isolate', 1 + neighbors), pops: numbered('pop', pops) };
const elsewhere = (name) => variables.MEDIA_URL.replace('//', `//${name}.`);
const workers = [
  ...names.isolates.map((name) => worker(name, variables)),
  ...names.pops.map((name) => worker(name, { ...variables, MEDIA_URL: elsewhere(name) })),
  {
    name: 'stores',
    modules: true,
    scriptPath: support('stores.mjs'),
    compatibilityDate: COMPATIBILITY_DATE,
    r2Buckets: { BUCKET: BUCKET_ID },
    ...directSocket,
  },
  { name: 'metrics', modules: true, scriptPath: support('metrics.mjs') },
];
const edge = new Miniflare({
  workers,
  host: '127.0.0.1',
  port: tlsPort ?? 0,
  https: Boolean(tlsPort),
  cf: false,
  inspectorPort: collectsGarbage || isInspected ? 0 : undefined,
  unsafeTriggerHandlers: true,
  // What is logged is the Worker's alone.
  logRequests: false,
  log: new Log(LogLevel.WARN),
});

let isEnding = false;
async function end() {
  if (isEnding) return;
  isEnding = true;
  await edge.dispose();
}
process.on('SIGTERM', end);
process.stdin.on('close', end).resume();

const front = (await edge.ready).host;
const direct = async (name) => (await edge.unsafeGetDirectURL(name)).host;
console.log(`READY ${JSON.stringify({
  front,
  isolates: await Promise.all(names.isolates.map(direct)),
  pops: await Promise.all(names.pops.map(direct)),
  stores: await direct('stores'),
  inspector: isInspected && (await edge.getInspectorURL()).host,
})}`);
if (collectsGarbage) {
  // Those that end meanwhile have none.
  const collect = () => collectGarbage(edge).catch((error) => isEnding || console.error(error));
  setInterval(collect, GARBAGE_MILLIS).unref();
}
