// Prints what the Worker of a running `edge.mjs` holds in its first isolate, garbage collected, in
// bytes:
//
//     node held.mjs <host of the inspector> <host of the isolate>
//
// `heap` are the objects on V8's heap, `external` the buffers beside it, `wasm` wasm's memory.
import process from 'node:process';

import { Inspector, isolates } from './inspector.mjs';

const [host, worker] = process.argv.slice(2);
const isolate = (await isolates(host)).find(({ id }) => id.endsWith(':isolate0'));
const inspector = await Inspector.connect(isolate);
// An isolate that is idle answers no inspector, and a request may end before it is asked.
const wake = () => fetch(`http://${worker}/_matrix/client/v1/media/download/x/y`, { method: 'OPTIONS' });
const waking = setInterval(() => wake().catch(() => {}), 100);
await inspector.collectGarbage();
const usage = await inspector.ask('Runtime.getHeapUsage');
console.log(JSON.stringify({
  heap: usage.usedSize + usage.embedderHeapUsedSize,
  external: usage.backingStorageSize,
  wasm: await inspector.wasmBytes(),
}));
clearInterval(waking);
inspector.close();
