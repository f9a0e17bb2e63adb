// How `configure` and `deploy` end.

/** Exit codes, as `scripts/configure --help` has them. */
export const EXIT = { done: 0, failed: 1, usage: 2, undecided: 3, unfit: 4, interrupted: 130 };

/** Why a run ends early, with its exit code. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}
