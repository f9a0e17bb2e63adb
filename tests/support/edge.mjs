// Runs a built Worker in workerd by Miniflare:
//
//     node edge.mjs <directory of index.js> <variables as a JSON object> <layout as a JSON object>
//
// The layout says how many `neighbors` the Worker has, isolates that share its cache as those of a
// data centre do, and how many other data centres (`pops`): the same with a MEDIA_URL of their own,
// under which they keep a cache of their own. `bucket` gives all of them one, "r2" or "faulty" (see
// stores.mjs), and `metrics` a dataset that "told" writes to the log and that "fails" (see
// metrics.mjs). With `cache: false` nothing stays in a cache. With a `tlsPort` the front speaks TLS
// there. With `isInspected` whoever wants to can look into its isolates, one at a time (see held.mjs).
// Background work is cut off `cutsBackgroundMs` after the answer (see cuts.mjs). V8 gives up an isolate
// whose heap is larger than `maxHeapMib`. With `cloudflareProxy`, `cloudflareCache` and
// `cloudflareBucket` stand-ins do what Cloudflare's do (see cloudflare/); `cacheAddress` is that of
// another edge's cache, to share it.
//
// Listens on free ports and prints `READY <addresses as a JSON object>`: `front` is Miniflare's own
// front, which does some of what Cloudflare does: it normalizes the target, sets CF-Connecting-IP,
// compresses, and triggers scheduled events. `isolates` and `pops` lead to the Worker as it is,
// `stores` to what they have stored: nothing at first; `inspector` is where they can be looked into.
// `proxy`, `cache` and `bucket` are those stand-ins, which can be told what to do.
// Ends on SIGTERM or at the end of its standard input.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { Log, LogLevel, Miniflare, PLUGINS } from 'miniflare';

import { serviceAt, startCache } from './cloudflare/cache.mjs';
import { startProxy } from './cloudflare/proxy.mjs';

const [directory, ...objects] = process.argv.slice(2);
const [variables, layout] = objects.map((json) => JSON.parse(json));
const { neighbors = 0, pops = 0, bucket, metrics, cache = true, tlsPort } = layout;
const { isInspected, cutsBackgroundMs, maxHeapMib, cacheAddress } = layout;
const { cloudflareProxy, cloudflareCache, cloudflareBucket } = layout;

/** By workerd's configuration (`HttpOptions.Style`): whole URLs stand in request lines. */
const PROXY_STYLE = 1;
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
const [, flags] = shipped.match(/^compatibility_flags = (\[.*\])$/m) ?? [];
const compatibilityFlags = JSON.parse(flags ?? '[]');
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
const cut = manifest(support('.'), 'cuts.mjs', ['cuts.mjs']);
const code = cutsBackgroundMs
  ? { ...built, mainModule: 'cuts.mjs', modules: { ...built.modules, ...cut.modules } }
  : built;
const cuts = cutsBackgroundMs && { CUTS_BACKGROUND_MS: { type: 'text', value: String(cutsBackgroundMs) } };
const text = ([name, value]) => [name, { type: 'text', value }];
const texts = (variables) => Object.fromEntries(Object.entries(variables).map(text));
const worker = (name, variables) => ({
  config: {
    name,
    compatibilityDate,
    compatibilityFlags,
    manifest: code,
    env: { ...texts(variables), ...BINDING[bucket], ...METRICS[metrics], ...cuts },
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
  {
    config: {
      name: 'limits',
      compatibilityDate,
      manifest: manifest(support('cloudflare'), 'bucket.mjs', ['bucket.mjs']),
      env: { R2: { type: 'r2', name: BUCKET_ID } },
    },
    dev: directSocket,
  },
];
const proxy = cloudflareProxy ? await standInForProxy() : undefined;
const cacheStandIn = cloudflareCache ? await standInForCache() : undefined;
if (cloudflareBucket) standInForBucket();
if (maxHeapMib) process.env.MINIFLARE_WORKERD_V8_FLAGS = `--max-heap-size=${maxHeapMib}`;
const edge = new Miniflare({
  workers,
  host: '127.0.0.1',
  port: tlsPort ?? 0,
  https: Boolean(tlsPort),
  cf: false,
  enableDevRegistry: false,
  telemetry: { enabled: false },
  inspectorPort: isInspected ? 0 : undefined,
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
  proxy?.close();
  cacheStandIn?.close();
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
  proxy: proxy?.address,
  cache: cacheStandIn?.address,
  bucket: await direct('limits'),
  inspector: isInspected && (await edge.getInspectorURL()).host,
})}`);
/** Has each Worker's requests go through the proxy. */
async function standInForProxy() {
  const standIn = await startProxy();
  const external = { address: standIn.address, http: { style: PROXY_STYLE } };
  const { getServices } = PLUGINS.core;
  PLUGINS.core.getServices = async (...context) => {
    const found = await getServices.apply(PLUGINS.core, context);
    for (const { name, worker } of found.services) {
      if (name.startsWith('outbound:')) worker.globalOutbound = { name: 'cloudflare:proxy' };
    }
    if (context[0].workerIndex === 0) {
      found.services.push({ name: 'cloudflare:proxy', external });
    }
    return found;
  };
  return standIn;
}

/** Has each Worker's calls of the Cache API go to the cache of its zone at its data centre. */
async function standInForCache() {
  const popOf = (host) => names.pops.find((name) => host.startsWith(`${name}.`)) ?? 'here';
  const standIn = cacheAddress
    ? { address: cacheAddress, service: serviceAt(cacheAddress), close() {} }
    : await startCache(cache ? {} : { offBy: 'access' }, popOf);
  const spaceOf = ({ config: { name } }) => {
    if (names.isolates.includes(name)) return 'here';
    return names.pops.find((pop) => pop === name);
  };
  PLUGINS.cache.getServices = async ({ workerIndex }) => [
    { name: `cache:${workerIndex}`, ...standIn.service(spaceOf(workers[workerIndex])) },
  ];
  return standIn;
}

/** Has each binding of the bucket go through what R2 limits, but for those of the stores' own. */
function standInForBucket() {
  const { getBindings } = PLUGINS.r2;
  PLUGINS.r2.getBindings = async (...context) => {
    const bindings = (await getBindings.apply(PLUGINS.r2, context)) ?? [];
    return bindings.map(({ name, r2Bucket }) => {
      switch (name) {
        case 'R2': return { name, service: r2Bucket };
        case 'BUCKET': return { name, r2Bucket };
        default: return { name, r2Bucket: { name: 'core:user:limits', entrypoint: 'Limits' } };
      }
    });
  };
}
