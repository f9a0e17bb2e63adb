// Time, which the runtime alone has.

/** Resolves after so many milliseconds. */
export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

/** As the operation settles; or rejects with nothing, if that takes longer. */
export function within(operation, millis) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, millis, undefined);
  });
  return Promise.race([operation, late]).finally(() => clearTimeout(timer));
}
