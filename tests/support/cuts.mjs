// The built Worker, whose background work is cut off as the platform does it: so many milliseconds
// (CUTS_BACKGROUND_MS) after the answer or the client's leaving, nothing waits for it any more. The
// runtime then ends the request, and no code of it runs again. An answer has ended when its head is
// sent, since the runtime moves a body by itself; but not before a pipe of the Worker's has, through
// which its body goes, be it split behind that or not.
import Worker from './index.js';

/** By the readable end of a pipe: when the pipe has ended. */
const pipes = new WeakMap();
/** By the writable end: what is told of whatever ends it. */
const ends = new WeakMap();

const noop = () => {};
const { pipeTo } = ReadableStream.prototype;
ReadableStream.prototype.pipeTo = function (writable, options) {
  const piped = pipeTo.call(this, writable, options);
  ends.get(writable)?.(piped);
  return piped;
};
const { tee } = ReadableStream.prototype;
ReadableStream.prototype.tee = function () {
  const pipe = pipes.get(this);
  const branches = tee.call(this);
  if (pipe) branches.forEach((branch) => pipes.set(branch, pipe));
  return branches;
};
globalThis.FixedLengthStream = class extends FixedLengthStream {
  constructor(length) {
    super(length);
    const { readable, writable } = this;
    const { promise, resolve } = Promise.withResolvers();
    pipes.set(readable, promise);
    ends.set(writable, (ended) => ended.then(resolve, resolve));
    const getWriter = writable.getWriter.bind(writable);
    Object.defineProperty(writable, 'getWriter', {
      value() {
        const writer = getWriter();
        writer.closed.then(resolve, resolve);
        return writer;
      },
    });
  }
};

export default {
  async fetch(request, env, ctx) {
    const { promise: over, resolve: cut } = Promise.withResolvers();
    const end = () => void setTimeout(cut, env.CUTS_BACKGROUND_MS);
    const waitUntil = ctx.waitUntil.bind(ctx);
    Object.defineProperty(ctx, 'waitUntil', {
      value: (task) => waitUntil(Promise.race([Promise.resolve(task).catch(noop), over])),
    });
    request.signal.addEventListener('abort', end);
    const response = await new Worker(ctx, env).fetch(request);
    const pipe = response.body && pipes.get(response.body);
    if (pipe) pipe.then(end);
    else end();
    return response;
  },
  scheduled(controller, env, ctx) {
    return new Worker(ctx, env).scheduled(controller);
  },
};
