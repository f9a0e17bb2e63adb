import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { deploy } from './deploy.mjs';
import { wrangler } from './wrangler.mjs';

process.exitCode = await deploy(process.argv.slice(2), {
  file: fileURLToPath(new URL('../../wrangler.toml', import.meta.url)),
  say: console.error,
  wrangler,
});
