// What worker-build's entry and the instances of the wasm know of each other.

const shared = { criticalError: false, instanceId: 0 };

/** The entry makes a new instance where there was a critical error. */
export const state = () => shared;

/** There is a new instance. */
export function count() {
  shared.instanceId += 1;
}
