import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { configure } from './configure.mjs';
import { probe } from './probe.mjs';
import { openTerminal } from './terminal.mjs';
import { findZone } from './zones.mjs';

process.exitCode = await configure(process.argv.slice(2), {
  env: process.env,
  file: fileURLToPath(new URL('../../wrangler.toml', import.meta.url)),
  say: console.log,
  terminal: openTerminal(process.stdin, process.stdout),
  probe,
  findZone,
});
