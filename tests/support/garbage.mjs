// Collects the garbage of isolates, so that a process is as large as what it holds. The local runtime
// bounds no isolate's heap, so garbage would be hundreds of megabytes.
import { once } from 'node:events';

import WebSocket from 'ws';

/** Collects that of every isolate of a Miniflare with an `inspectorPort`. */
export async function collectGarbage(miniflare) {
  const inspector = new URL(await miniflare.getInspectorURL());
  const list = await fetch(`http://${inspector.host}/json`);
  for (const { webSocketDebuggerUrl } of await list.json()) await collect(webSocketDebuggerUrl);
}

async function collect(url) {
  const socket = new WebSocket(url);
  await once(socket, 'open');
  const answered = once(socket, 'message');
  socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' }));
  await answered;
  socket.close();
}
