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
// whoever wants to can look into its isolates, one at a time (see held.mjs).
//
// Listens on free ports and prints `READY <addresses as a JSON object>`: `front` is Miniflare's own
// front, which does some of what Cloudflare does: it normalizes the target, sets CF-Connecting-IP,
// compresses, and triggers scheduled events. `isolates` and `pops` lead to the Worker as it is,
// `stores` to what they have stored: nothing at first; `inspector` is where they can be looked into.
// Ends on SIGTERM or at the end of its standard input.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { Log, LogLevel, Miniflare } from 'miniflare';

import { collectGarbage } from './garbage.mjs';

const [directory, ...objects] = process.argv.slice(2);
const [variables, layout] = objects.map((json) => JSON.parse(json));
const { neighbors = 0, pops = 0, bucket, metrics, cache = true, tlsPort } = layout;
const { collectsGarbage, isInspected } = layout;

const GARBAGE_MILLIS = 15_000;

const BUCKET_ID = 'media';
const BINDING = {
  r2: { MEDIA_BUCKET: { type: 'r2', name: BUCKET_ID } },
  faulty: { MEDIA_BUCKET: { type: 'worker', worker: 'stores', exportName: 'Bucket' } },
};
const support = (file) => resolve(dirname(fileURLToPath(import.meta.url)), file);
const dataset = (options) => ({
  METRICS: {
    type: 'unsafe:metrics',
    dev: { plugin: { package: support('metrics.mjs'), name: 'metrics' }, options },
  },
});
const METRICS = { told: dataset({ fails: false }), fails: dataset({ fails: true }) };
const shipped = readFileSync(support('../../wrangler.toml'), 'utf8');
const [, compatibilityDate] = shipped.match(/^compatibility_date = "(.*)"$/m);
const directSocket = { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] };

/** The modules in a folder, or those of them that are named. */
function manifest(folder, mainModule, names = readdirSync(folder)) {
  const type = (name) => ({ '.js': 'esm', '.mjs': 'esm', '.wasm': 'wasm' })[extname(name)];
  const read = (name) =>
    readFileSync(resolve(folder, name), type(name) === 'esm' ? 'utf8' : undefined);
  const module = (name) => [name, { type: type(name), contents: read(name) }];
  const modules = Object.fromEntries(names.filter(type).map(module));
  return { mainModule, modulesRoot: resolve(folder), modules };
}

const built = manifest(directory, 'index.js');
const text = ([name, value]) => [name, { type: 'text', value }];
const texts = (variables) => Object.fromEntries(Object.entries(variables).map(text));
const worker = (name, variables) => ({
  config: {
    name,
    compatibilityDate,
    manifest: built,
    env: { ...texts(variables), ...BINDING[bucket], ...METRICS[metrics] },
  },
  dev: { cacheAPI: cache, ...directSocket },
});
const numbered = (name, length) => Array.from({ length }, (_, number) => `${name}${number}`);
const names = { isolates: numbered('isolate', 1 + neighbors), pops: numbered('pop', pops) };
const elsewhere = (name) => variables.MEDIA_URL.replace('//', `//${name}.`);
const workers = [
  ...names.isolates.map((name) => worker(name, variables)),
  ...names.pops.map((name) => worker(name, { ...variables, MEDIA_URL: elsewhere(name) })),
  {
    config: {
      name: 'stores',
      compatibilityDate,
      manifest: manifest(support('.'), 'stores.mjs', ['stores.mjs']),
      env: { BUCKET: { type: 'r2', name: BUCKET_ID } },
    },
    dev: directSocket,
  },
];
const edge = new Miniflare({
  workers,
  host: '127.0.0.1',
  port: tlsPort ?? 0,
  https: Boolean(tlsPort),
  cf: false,
  enableDevRegistry: false,
  telemetry: { enabled: false },
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
