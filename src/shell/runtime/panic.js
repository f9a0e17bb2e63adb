// Where what leaves wasm as an exception ends.

/** By each request that waits for wasm: what lets it wait no longer. */
const waiting = new Set();

/** What those get then. */
let spare;

/** Says what that is: the status and headers of a response, and a text. */
export function arm({ status, headers }, text) {
  spare = () => new Response(text, { status, headers });
}

/** Calls back. Says whether that came to its end. */
export function ends(step) {
  try {
    step();
    return true;
  } catch (error) {
    // A trap: the instance has ended, with all that was under way in it.
    if (error instanceof WebAssembly.RuntimeError) for (const end of waiting) end();
    return false;
  }
}

/** The answer, or the spare one if the instance ends before. One whose client leaves never comes. */
export function outliving(answer, request) {
  let end;
  const ended = new Promise((resolve) => {
    end = resolve;
  });
  waiting.add(end);
  request.signal.addEventListener("abort", () => waiting.delete(end));
  // Each makes its own, since it belongs to its request.
  return Promise.race([answer, ended.then(() => spare())]).finally(() => waiting.delete(end));
}
