// What wasm waits for. Nothing of wasm's is held by what never comes: whoever no longer waits says so.

/** Calls back once when the promise settles, with whether it was fulfilled and what came of it. */
export function watch(promise, settled) {
  const watch = { settled };
  promise.then(
    (value) => watch.settled?.(true, value),
    (error) => watch.settled?.(false, error),
  );
  return watch;
}

/** Calls back once after so many milliseconds. */
export function watchTime(ms, settled) {
  const watch = { settled };
  watch.timer = setTimeout(() => watch.settled?.(true), ms);
  return watch;
}

/** Calls back when the client of a request leaves before it has been answered whole. */
export function watchClient(request, settled) {
  const watch = { settled };
  request.signal.addEventListener("abort", () => watch.settled?.(true));
  return watch;
}

/** Never calls back. */
export function unwatch(watch) {
  watch.settled = undefined;
  try {
    // A timer of a request that has ended is gone.
    if (watch.timer !== undefined) clearTimeout(watch.timer);
  } catch {}
}
