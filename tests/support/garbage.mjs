// Collects the garbage of isolates, so that a process is as large as what it holds. The local runtime
// bounds no isolate's heap, so garbage would be hundreds of megabytes.
import { setTimeout } from 'node:timers/promises';

import { Inspector, isolates } from './inspector.mjs';

const PATIENCE_MILLIS = 5_000;

/** Collects that of every isolate of a Miniflare with an `inspectorPort`. */
export async function collectGarbage(miniflare) {
  const { host } = await miniflare.getInspectorURL();
  await Promise.all((await isolates(host)).map(collect));
}

async function collect(isolate) {
  const inspector = await Inspector.connect(isolate);
  // One that is idle doesn't answer, and makes no garbage either.
  const isOver = setTimeout(PATIENCE_MILLIS, undefined, { ref: false });
  const collected = inspector.collectGarbage();
  collected.catch(() => {}); // What comes of it later is nobody's.
  await Promise.race([collected, isOver]);
  inspector.close();
}
