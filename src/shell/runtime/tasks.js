// Time, which the runtime alone has.

/** As the operation settles; or rejects with nothing, if that takes longer. */
export const within = (operation, ms, giveUp) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject();
      giveUp?.();
    }, ms);
    const settled = (settle) => (outcome) => {
      clearTimeout(timer);
      settle(outcome);
    };
    operation.then(settled(resolve), settled(reject));
  });
