// Small bodies, read whole: one crossing instead of one for each chunk.

/** The bytes of a stream; nothing, if there are more than `limit`. */
export async function readBounded(stream, limit) {
  const chunks = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > limit) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/**
 * The bytes of a stream as they come; nothing, unless they are so many. `arrayBuffer` would ask for all
 * of them at once, and the other branch of a tee would get none before.
 */
export async function readWhole(stream, length) {
  const reader = stream.getReader({ mode: "byob" });
  // One more, for a stream that is longer.
  let buffer = new ArrayBuffer(length + 1);
  for (let read = 0; ; ) {
    const { done, value } = await reader.read(new Uint8Array(buffer, read));
    if (done) return read === length ? new Uint8Array(value?.buffer ?? buffer, 0, length) : undefined;
    buffer = value.buffer;
    read += value.length;
    if (read > length) {
      await reader.cancel();
      return undefined;
    }
  }
}
