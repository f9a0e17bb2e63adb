// A body whose length nobody has told, counted on its way. It is moved here rather than in wasm, so
// that all of it goes with the request of a client who leaves.

const CHUNK_BYTES = 64 * 1024;

/** At most `limit` bytes of a stream, or of none, for a `fetch` that takes its `readable` and `signal`. */
export class LimitedBody {
  #fetching = new AbortController();

  constructor(stream, limit) {
    const { readable, writable } = new IdentityTransformStream();
    this.readable = readable;
    this.signal = this.#fetching.signal;
    /** Whether it was longer. */
    this.isOver = false;
    /** How long it was, once it has ended. */
    this.wholeBytes = undefined;
    this.#move(stream?.getReader({ mode: "byob" }), writable.getWriter(), limit);
  }

  /** Leaves the `fetch` alone from now on: its answer is to be read whatever becomes of the body. */
  answered() {
    this.#fetching = undefined;
  }

  async #move(reader, writer, limit) {
    try {
      for await (const chunk of this.#read(reader, limit)) await writer.write(chunk);
      await writer.close();
    } catch (error) {
      // Who takes it has taken enough, or won't get more.
      await Promise.allSettled([writer.abort(error), reader?.cancel(error)]);
    }
  }

  /** The chunks, all in one buffer: many would be garbage that the runtime lets grow. */
  async *#read(reader, limit) {
    let buffer = new ArrayBuffer(CHUNK_BYTES);
    let length = 0;
    try {
      while (reader !== undefined) {
        const { done, value } = await reader.read(new Uint8Array(buffer));
        if (done) break;
        length += value.length;
        if (length > limit) {
          this.isOver = true;
          throw new Error("the upload is over its limit");
        }
        yield value;
        buffer = value.buffer;
      }
    } catch (error) {
      // The runtime ends a body that breaks as if it were whole, but not that of an aborted request.
      this.#fetching?.abort(error);
      throw error;
    }
    this.wholeBytes = length;
  }
}
