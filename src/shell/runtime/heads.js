// Heads cross between Rust and the runtime as one text each: a crossing for every header is what
// costs. Names and values stand on lines of their own, which no header's value can contain.

/** Method, URL and those of the named headers that are there. */
export function requestHead(request, names) {
  let head = `${request.method}\n${request.url}`;
  const { headers } = request;
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null) head += `\n${name}\n${value}`;
  }
  return head;
}

/** All headers, in lower case; those of one name are joined. */
export function entries(headers) {
  let text = "";
  for (const [name, value] of headers) text += `${name}\n${value}\n`;
  return text;
}

/** Sets headers, given as `entries` writes them. */
export function setHeaders(headers, text) {
  const lines = text.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) headers.set(lines[i], lines[i + 1]);
  return headers;
}

/** A response with these headers. */
export function response(status, text, body) {
  return new Response(body, { status, headers: setHeaders(new Headers(), text) });
}

/** A response as it is but for one header. */
export function withHeader(response, name, value) {
  const changed = new Response(response.body, response);
  changed.headers.set(name, value);
  return changed;
}
