// A request to the origin, in one crossing.

import { setHeaders } from "../runtime/heads.js";
import { withTimeout } from "../runtime/tasks.js";

/**
 * `fetch`, following no redirect. The client's headers go along, copied by the runtime so that
 * repeated fields stay apart, without the `dropped` ones, and with those `set` on top. With `ms`, it
 * rejects with `undefined` if no head comes within so many milliseconds, and has an `abort` for when
 * nobody waits any more. Without, an optional `signal` aborts it.
 */
export function ask(method, url, client, dropped, set, body, signal, ms) {
  const headers = new Headers(client?.headers);
  if (dropped !== "") for (const name of dropped.split("\n")) headers.delete(name);
  // The platform's own cache would answer without asking the homeserver.
  const init = { method, headers: setHeaders(headers, set), body, redirect: "manual", cache: "no-store" };
  if (ms === undefined) return fetch(url, { ...init, signal });
  const controller = new AbortController();
  const answer = fetch(url, { ...init, signal: controller.signal });
  const abort = () => controller.abort();
  return Object.assign(withTimeout(answer, ms, abort), { abort });
}
