// What goes to the log and to Analytics Engine.

/** Writes an event to the log, if it is to be there, and a data point where one is wanted. */
export function report(line, isLogged, metrics) {
  if (isLogged) console.log(line);
  try {
    metrics?.writeDataPoint(dataPoint(JSON.parse(line)));
  } catch (error) {
    // No number is worth an answer.
    warn("metrics", error);
  }
}

/** An event in columns, which docs/numbers.md names. */
function dataPoint(event) {
  const { route, door, outcome, tier, reason, status, origin_status, pop } = event;
  const words = [route, door, outcome, tier, reason, status, origin_status, pop];
  const { body_bytes, origin_body_bytes, origin_requests, duration_ms, origin_ms } = event;
  return {
    indexes: [door ?? ""],
    blobs: words.map((word) => String(word ?? "")),
    doubles: [body_bytes, origin_body_bytes, origin_requests, duration_ms, origin_ms],
  };
}

/** Tells the log what failed elsewhere, and what the runtime says of it. */
export function warn(what, error) {
  console.warn(`${what}: ${describe(error)}`);
}

/** The same of what failed here. */
export function fail(what, error) {
  console.error(`${what}: ${describe(error)}`);
}

/**
 * What the runtime says of an error, in its plain words: what else stands there may be quoted from
 * a request or an answer, such as an address with a token in it.
 */
function describe(error) {
  const words = String(error?.message ?? error ?? "").split(/\s+/);
  return words.map((word) => (PLAIN.test(word) ? word : "…")).join(" ");
}

/** No identifier of Matrix or of the platform is as short. */
const PLAIN = /^\(?([a-z][a-z'-]{0,15}|\d{1,5})\)?[.,:;]?$/i;
