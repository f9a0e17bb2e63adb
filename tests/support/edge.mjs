// Runs a built Worker in workerd by Miniflare:
//
//     node edge.mjs <directory of index.js> <variables as a JSON object> <isolates> [<TLS port>]
//
// Listens on free ports and prints `READY <url> <direct url>…`. The first is Miniflare's own
// front, which does some of what Cloudflare does: it normalizes the target, sets CF-Connecting-IP
// and compresses; given a port, it speaks TLS there. The others lead to the Worker as it is, one
// to each isolate of it. The isolates share one cache, as those of a data centre do; it is empty.
// Ends on SIGTERM or at the end of its standard input.
import { resolve } from 'node:path';
import process from 'node:process';

import { Log, LogLevel, Miniflare } from 'miniflare';

const [directory, variables, isolates, tlsPort] = process.argv.slice(2);
const isolate = (name) => ({
  name,
  modules: true,
  modulesRoot: resolve(directory),
  scriptPath: resolve(directory, 'index.js'),
  modulesRules: [
    { type: 'ESModule', include: ['**/*.js'] },
    { type: 'CompiledWasm', include: ['**/*.wasm'] },
  ],
  compatibilityDate: '2026-04-20',
  bindings: JSON.parse(variables),
  unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
});
const names = Array.from({ length: Number(isolates) }, (_, number) => `isolate${number}`);
const edge = new Miniflare({
  workers: names.map(isolate),
  host: '127.0.0.1',
  port: Number(tlsPort ?? 0),
  https: tlsPort !== undefined,
  cf: false,
  log: new Log(LogLevel.INFO),
});

let isEnding = false;
async function end() {
  if (isEnding) return;
  isEnding = true;
  await edge.dispose();
}
process.on('SIGTERM', end);
process.stdin.on('close', end).resume();

const front = await edge.ready;
const direct = await Promise.all(names.map((name) => edge.unsafeGetDirectURL(name)));
console.log(`READY ${[front, ...direct].join(' ')}`);
