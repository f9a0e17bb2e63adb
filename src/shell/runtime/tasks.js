// Time, which the runtime alone has.

/** Settles as the operation does; rejects with `undefined` if that takes longer than `ms`. */
export const withTimeout = (operation, ms, giveUp) =>
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
