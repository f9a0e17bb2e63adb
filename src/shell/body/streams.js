// Small documents, read whole: one crossing instead of one for each chunk.

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
