// What the platform's cache costs by itself: no authorization, no errors, one header.
export default {
  async fetch(request, env, context) {
    const { pathname, search } = new URL(request.url);
    if (request.method !== 'GET') return fetch(env.ORIGIN + pathname + search, request);

    const cached = await caches.default.match(request);
    if (cached) return cached;

    const answer = await fetch(env.ORIGIN + pathname + search, request);
    if (!answer.ok) return answer;
    const [ours, theirs] = answer.body.tee();
    const headers = new Headers(answer.headers);
    headers.set('Cache-Control', 'public, max-age=86400');
    context.waitUntil(caches.default.put(request.url, new Response(ours, { headers })));
    return new Response(theirs, answer);
  },
};
