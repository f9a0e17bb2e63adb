// Runs `configure` in this process, on a wrangler.toml of its own.
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { configure } from '../../scripts/admin/configure.mjs';
import { probe } from '../../scripts/admin/probe.mjs';
import { Terminal } from '../../scripts/admin/terminal.mjs';

export const SHIPPED = new URL('../../wrangler.toml', import.meta.url);

/** Asks stand-ins only: what is elsewhere is no business of a test. */
async function probeNear(url, options) {
  const isNear = new URL(url).hostname === '127.0.0.1';
  return isNear ? probe(url, options) : { url, hops: [], failure: 'not asked' };
}

/** A copy of the shipped wrangler.toml, or of a text, that is gone after the test. */
export async function writeFileFor(test, text) {
  const folder = await mkdtemp(join(tmpdir(), 'configure-'));
  test.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'wrangler.toml');
  if (text === undefined) await copyFile(SHIPPED, file);
  else await writeFile(file, text);
  return file;
}

/**
 * One run: `{ code, said, text }`. With `answers` somebody sits at a terminal and gives them; after
 * the last one any more questions are an error.
 */
export async function run(
  file,
  argv,
  { answers, env = {}, findZone = async () => undefined } = {},
) {
  const said = [];
  const say = (line) => said.push(line);
  const readLine = async (question) => {
    say(question);
    if (answers.length === 0) throw new Error(`nobody answers: ${question}`);
    return answers.shift();
  };
  const terminal = answers && new Terminal(readLine, say);
  const code = await configure(argv, { env, file, say, terminal, probe: probeNear, findZone });
  return { code, said: said.join('\n'), text: await readFile(file, 'utf8') };
}

/** The flags for the media domain of example.org, with well-known at this stand-in. */
export function mediaFlags({ url }) {
  return [
    ...['--server-name', 'example.org', '--layout', 'media', '--media-host', 'media.example.org'],
    ...['--well-known-url', url, '--zone', 'example.org', '--yes'],
  ];
}
