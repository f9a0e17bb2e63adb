// Runs wrangler.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const WRANGLER = fileURLToPath(new URL('../../node_modules/.bin/wrangler', import.meta.url));

/** Runs it to its end: `{ code, output }`, the latter only where it is read instead of shown. */
export async function wrangler(argv, { env, reads }) {
  const stdio = ['inherit', reads ? 'pipe' : 'inherit', 'inherit'];
  // What is read must not be silenced by the level that somebody set for what is shown.
  const level = reads ? { WRANGLER_LOG: 'log' } : {};
  const environment = { ...process.env, ...env, ...level };
  const program = spawn(process.execPath, [WRANGLER, ...argv], { stdio, env: environment });
  const closed = once(program, 'close');
  const output = reads ? (await program.stdout.toArray()).join('') : undefined;
  const [code] = await closed;
  return { code, output };
}
