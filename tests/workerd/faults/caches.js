
// Stands before the runtime's caches, and fails for media whose ID says so: `match-fails-…`,
// `put-hangs-…`, `body-breaks-…` and so on. What is wrong with a body or its record is so once, and
// not for the single byte that the Worker looks for when it has stored something.
const NEVER_MS = 600_000;
const faulted = new Set();

const faultOf = (operation, request) =>
  (request.url ?? request).match(new RegExp(`/${operation}-([a-z]+)-`))?.[1];

async function begin(operation, request) {
  const fault = faultOf(operation, request);
  if (fault === "fails") throw new Error("it failed");
  if (fault === "hangs") await scheduler.wait(NEVER_MS);
}

async function spoiled(found, request) {
  const fault = faultOf("body", request);
  const range = request.headers?.get("range") ?? "";
  const [first, last] = range.replace("bytes=", "").split("-");
  const name = `${request.url ?? request} ${range}`;
  if (found === undefined || fault === undefined || faulted.has(name)) return found;
  if (range !== "" && first === last) return found;
  faulted.add(name);
  const { status } = found;
  const headers = new Headers(found.headers);
  const bytes = new Uint8Array(await found.arrayBuffer());
  if (fault === "garbled") {
    headers.set("x-edge-meta", "v=0&what=is&this");
    return new Response(bytes, { status, headers });
  }
  return new Response(halfOf(bytes, fault), { status, headers });
}

/** A stream of the runtime's, of known length, that brings one half and then breaks off or stalls. */
function halfOf(bytes, fault) {
  const { readable, writable } = new FixedLengthStream(bytes.length);
  const writer = writable.getWriter();
  const half = bytes.subarray(0, bytes.length / 2);
  const rest = fault === "stalls" ? scheduler.wait(NEVER_MS) : Promise.resolve();
  Promise.all([writer.write(half), rest]).then(() => writer.abort(new Error("it broke off"))).catch(() => {});
  return readable;
}

const faultyCaches = {
  async open(name) {
    const cache = await caches.open(name);
    return {
      async match(request) {
        await begin("match", request);
        return spoiled(await cache.match(request), request);
      },
      async put(request, response) {
        try {
          await begin("put", request);
        } catch (error) {
          await response.body?.cancel();
          throw error;
        }
        await cache.put(request, response);
      },
      async delete(request) {
        await begin("delete", request);
        return cache.delete(request);
      },
    };
  },
};
