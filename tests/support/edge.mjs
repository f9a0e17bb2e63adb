// Runs a built Worker in workerd by Miniflare:
//
//     node edge.mjs <directory of index.js> <variables as a JSON object>
//
// Listens on two free ports and prints `READY <url> <direct url>`. The first is Miniflare's own
// front, which does some of what Cloudflare does: it normalizes the target, sets CF-Connecting-IP
// and compresses. The second leads to the Worker as it is. Ends on SIGTERM or at the end of its
// standard input. The cache is its own, and empty.
import { resolve } from 'node:path';
import process from 'node:process';

import { Log, LogLevel, Miniflare } from 'miniflare';

const [directory, variables] = process.argv.slice(2);
const worker = new Miniflare({
  modules: true,
  modulesRoot: resolve(directory),
  scriptPath: resolve(directory, 'index.js'),
  modulesRules: [
    { type: 'ESModule', include: ['**/*.js'] },
    { type: 'CompiledWasm', include: ['**/*.wasm'] },
  ],
  compatibilityDate: '2026-04-20',
  bindings: JSON.parse(variables),
  host: '127.0.0.1',
  port: 0,
  unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
  cf: false,
  log: new Log(LogLevel.INFO),
});

let isEnding = false;
async function end() {
  if (isEnding) return;
  isEnding = true;
  await worker.dispose();
  process.exit(0);
}
process.on('SIGTERM', end);
process.stdin.on('close', end).resume();

console.log(`READY ${await worker.ready} ${await worker.unsafeGetDirectURL()}`);
