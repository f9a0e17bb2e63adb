// Calls of the cache. Cache Rules of the zone that would bypass it, and Development Mode, give way to
// what a Worker says: https://developers.cloudflare.com/cache/interaction-cloudflare-products/workers-cache-rules/

const cf = { cacheEverything: true };

/** What is stored under a URL, or the part of it that `range` names. */
export const match = (cache, url, range) =>
  cache.match(new Request(url, range === undefined ? { cf } : { cf, headers: { range } }));

/** Stores a response under a URL. */
export const put = (cache, url, response) => cache.put(new Request(url, { cf }), response);

/** Removes what is stored under a URL. */
export const remove = (cache, url) => cache.delete(new Request(url, { cf }));
