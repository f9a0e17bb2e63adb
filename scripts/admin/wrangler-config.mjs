// What wrangler.toml says, by wrangler's own reader.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file's `{ name, vars, routes }`. Throws what wrangler has against it. */
export async function readWranglerToml(path, env) {
  // Loaded when it is needed: it takes a second.
  const { unstable_readConfig: readConfig } = await import('wrangler');
  const { name, vars, routes, route } = readConfig({ config: path, env }, { hideWarnings: true });
  const all = [...(routes ?? []), ...(route === undefined ? [] : [route])];
  return {
    name,
    vars: { ...vars },
    // The reader's own objects have no prototype.
    routes: all.map((entry) => (typeof entry === 'string' ? { pattern: entry } : { ...entry })),
  };
}

/** The same of a text. */
export async function readWranglerText(text) {
  const folder = await mkdtemp(join(tmpdir(), 'matrix-media-edge-'));
  try {
    const path = join(folder, 'wrangler.toml');
    await writeFile(path, text);
    return await readWranglerToml(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}
