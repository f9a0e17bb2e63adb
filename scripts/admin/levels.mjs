// A check's outcome: `{ level, what, cure? }`.

/** As it should be. */
export function ok(what) {
  return { level: 'ok', what };
}

/** Good to know, and no obstacle. */
export function note(what, cure) {
  return { level: 'note', what, cure };
}

/** The edge would not work, or would make something worse. */
export function bad(what, cure) {
  return { level: 'bad', what, cure };
}
