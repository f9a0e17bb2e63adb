// Small documents, read whole: one crossing instead of one for each chunk.

/**
 * The bytes of a stream, until it ends or `isWhole` says that all have come; nothing, if there are
 * more than `limit`.
 */
async function readUntil(stream, limit, isWhole) {
  const chunks = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > limit) return undefined;
    chunks.push(chunk);
    if (isWhole(length, chunks)) break;
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** The bytes of a stream; nothing, if there are more than `limit`. */
export function readBounded(stream, limit) {
  return readUntil(stream, limit, () => false);
}

const CLOSING_BRACE = 0x7d;

function isObject(chunks) {
  if (!chunks.at(-1).includes(CLOSING_BRACE)) return false;
  const decoder = new TextDecoder();
  try {
    JSON.parse(chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join(''));
    return true;
  } catch {
    return false;
  }
}

/**
 * The bytes of a JSON object, whose end the runtime may hold back while a client is still sending:
 * after so many bytes, if a `length` was told, or else as soon as there is one.
 */
export function readObject(stream, limit, length) {
  return readUntil(stream, limit, (read, chunks) => (length === undefined ? isObject(chunks) : read >= length));
}
