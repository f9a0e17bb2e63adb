// Where what leaves wasm as an exception ends.

/** By each request that waits for wasm: what lets it wait no longer. */
const waiting = new Set();

/** Makes what those get then. */
let fallback;

/** Sets what that is: the status and headers of a response, and a text. */
export function setFallbackResponse({ status, headers }, text) {
  fallback = () => new Response(text, { status, headers });
}

/** Calls back. Returns whether that came to its end. */
export function completes(step) {
  try {
    step();
    return true;
  } catch (error) {
    // A trap: the instance has ended, with all that was under way in it.
    if (error instanceof WebAssembly.RuntimeError) for (const end of waiting) end();
    return false;
  }
}

/**
 * Returns the answer, or the fallback response if the instance ends before. The answer for a client
 * who leaves never comes.
 */
export function orFallbackResponse(answer, request) {
  let end;
  const ended = new Promise((resolve) => {
    end = resolve;
  });
  waiting.add(end);
  request.signal.addEventListener("abort", () => waiting.delete(end));
  // Each makes its own, since it belongs to its request.
  return Promise.race([answer, ended.then(() => fallback())]).finally(() => waiting.delete(end));
}
