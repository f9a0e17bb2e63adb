// What goes to Analytics Engine.

/** Writes a data point of an event, given as its line in the log. */
export function writeDataPoint(line, metrics) {
  metrics.writeDataPoint(dataPoint(JSON.parse(line)));
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
