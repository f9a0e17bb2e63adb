// V8's inspector of isolates, which workerd offers, by the Chrome DevTools Protocol:
// <https://chromedevtools.github.io/devtools-protocol/v8/>
import { once } from 'node:events';

import WebSocket from 'ws';

/** Lists the isolates behind an inspector at this host. */
export async function isolates(host) {
  return (await fetch(`http://${host}/json`)).json();
}

/** A connection to one of them. */
export class Inspector {
  #socket;
  #asked = 0;
  #waiting = new Map();
  #contexts = [];

  static async connect({ webSocketDebuggerUrl }) {
    const inspector = new Inspector();
    const socket = new WebSocket(webSocketDebuggerUrl);
    socket.on('message', (data) => inspector.#take(JSON.parse(data)));
    socket.on('error', () => {}); // It is closed next.
    socket.on('close', () => inspector.#giveUp());
    inspector.#socket = socket;
    await once(socket, 'open');
    return inspector;
  }

  #take({ id, error, result, method, params }) {
    if (method === 'Runtime.executionContextCreated') this.#contexts.push(params.context.id);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result);
  }

  #giveUp() {
    for (const { reject } of this.#waiting.values()) reject(new Error('the isolate is gone'));
    this.#waiting.clear();
  }

  /** Asks, and waits for the answer. */
  ask(method, params = {}) {
    const id = ++this.#asked;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#socket.send(JSON.stringify({ id, method, params }));
    return answer;
  }

  /** Has garbage collected: the isolate does so as soon as it runs for a request. */
  collectGarbage() {
    return this.ask('HeapProfiler.collectGarbage');
  }

  /** Tells how large wasm's memory is, which is no part of what V8 says of its heap. */
  async wasmBytes() {
    await this.ask('Runtime.enable');
    const [contextId] = this.#contexts;
    const expression = 'WebAssembly.Memory.prototype';
    const { result: prototype } = await this.ask('Runtime.evaluate', { expression, contextId });
    const query = { prototypeObjectId: prototype.objectId };
    const { objects } = await this.ask('Runtime.queryObjects', query);
    const sum = 'function () { return this.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) }';
    const call = { objectId: objects.objectId, functionDeclaration: sum, returnByValue: true };
    return (await this.ask('Runtime.callFunctionOn', call)).result.value;
  }

  close() {
    this.#socket.close();
  }
}
