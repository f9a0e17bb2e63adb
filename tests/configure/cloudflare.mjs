// A stand-in for Cloudflare's API, as far as wrangler asks it to deploy a Worker.
import { createServer } from 'node:http';

export const DEPLOYED = '11111111-1111-4111-8111-111111111111';
export const UPLOADED = '22222222-2222-4222-8222-222222222222';
export const EARLIER = '33333333-3333-4333-8333-333333333333';

const CREATED = '2026-01-01T00:00:00Z';

/** Starts it; `writes` are what came to change anything: method, path and JSON. */
export async function startCloudflare(
  test,
  { deployments = [[[DEPLOYED, 100]], [[EARLIER, 100]]] } = {},
) {
  const writes = [];
  const listed = deployments.map((versions, index) => ({
    id: `deployment${index}`,
    created_on: `202${9 - index}-01-01T00:00:00Z`,
    versions: versions.map(([version_id, percentage]) => ({ version_id, percentage })),
  }));
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://api').pathname.replace(/^\/accounts\/account/, '');
    const body = (await request.toArray()).join('');
    if (request.method !== 'GET')
      writes.push({ method: request.method, path, json: readJson(body) });
    const result = answer(request.method, path, listed);
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ success: true, errors: [], messages: [], result }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, writes };
}

function answer(method, path, deployments) {
  const version = /\/versions\/([0-9a-f-]+)$/.exec(path)?.[1];
  const metadata = { created_on: CREATED, has_preview: false };
  if (version)
    return { id: version, metadata, resources: { bindings: [], script: {}, script_runtime: {} } };
  if (path.endsWith('/deployments'))
    return method === 'GET' ? { deployments } : { id: 'deployment' };
  if (path.endsWith('/versions'))
    return { id: UPLOADED, metadata, resources: { script: {} }, startup_time_ms: 1 };
  if (path.includes('/services/')) {
    return { default_environment: { script: { last_deployed_from: 'wrangler', tag: 'tag' } } };
  }
  if (path.startsWith('/workers/workers/'))
    return { subdomain: { enabled: false, previews_enabled: false } };
  if (path.endsWith('/domains/changeset'))
    return { added: [], removed: [], updated: [], conflicting: [] };
  if (path === '/zones') return [{ id: 'zone' }];
  if (path.endsWith('/workers/routes') || path.endsWith('/secrets')) return [];
  return {};
}

function readJson(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
