// Questions to the cache that are more than a URL.

/** What is stored under a URL, of which a part is wanted. */
export const matchPart = (cache, url, range) => cache.match(new Request(url, { headers: { range } }));
