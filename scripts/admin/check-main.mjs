import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { ask } from './ask.mjs';
import { check } from './check.mjs';

process.exitCode = await check(process.argv.slice(2), {
  env: process.env,
  file: fileURLToPath(new URL('../../wrangler.toml', import.meta.url)),
  say: console.log,
  ask,
  pause,
  randomBytes,
});
