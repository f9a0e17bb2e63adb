// `make deploy` and `make rollback`: checks the configuration, and has wrangler build it, try it
// and deploy it. wrangler runs scripts/build by itself, as wrangler.toml says.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { currentVersion, doubts, flaws, parseGradual, split, uploadedVersion } from './deployment.mjs';
import { EXIT, Refusal } from './refusal.mjs';
import { readWranglerToml } from './wrangler-config.mjs';

const HELP = `Deploys what wrangler.toml describes, when it has checked and built it.

  --gradual 10     upload a new version and give it 10 % of the requests
  --rollback       go back to the version before instead, or to --version ID
  --env NAME       an environment of wrangler.toml
  --config FILE    another file than wrangler.toml`;

const FLAGS = {
  gradual: { type: 'string' },
  rollback: { type: 'boolean' },
  version: { type: 'string' },
  env: { type: 'string' },
  config: { type: 'string' },
  help: { type: 'boolean' },
};

/**
 * Runs once and returns the exit code.
 *
 * @param world `{ file, say, wrangler }`: `file` is wrangler.toml, and `wrangler` runs it with
 *   arguments, variables for its environment, and `reads` where its output is wanted; it returns
 *   `{ code, output }`.
 */
export async function deploy(argv, world) {
  try {
    const flags = readFlags(argv);
    if (flags.help) world.say(HELP);
    else await new Deployment({ config: world.file, ...flags }, world).run();
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    world.say(`deploy: ${error.message}`);
    return error.code;
  }
}

class Deployment {
  #flags;
  #world;

  constructor(flags, world) {
    this.#flags = flags;
    this.#world = world;
  }

  async run() {
    const { rollback, version, gradual } = this.#flags;
    if (rollback) await this.#wrangler(['rollback', ...(version === undefined ? [] : [version])]);
    else if (gradual === undefined) await this.#deployWhole();
    else await this.#deployPart(gradual);
  }

  async #deployWhole() {
    await this.#refuseFlaws();
    await this.#wrangler(['deploy', '--dry-run']);
    await this.#wrangler(['deploy']);
  }

  async #deployPart(gradual) {
    const { value: percent, problem } = parseGradual(gradual);
    if (problem) throw new Refusal(EXIT.usage, `--gradual ${problem}`);
    await this.#refuseFlaws();
    // Asked before the upload: where nothing is deployed yet, there is nothing to share with.
    const status = await this.#wrangler(['deployments', 'status', '--json'], { reads: true });
    const current = currentVersion(status);
    const uploaded = await this.#upload();
    await this.#wrangler(['versions', 'deploy', ...split(uploaded, current, percent), '--yes']);
    this.#world
      .say(`deploy: ${percent} % of the requests go to ${uploaded}, the others to ${current}.
"make deploy" deploys for all, "make rollback" goes back; routes change with "make deploy" only.`);
  }

  async #upload() {
    const folder = await mkdtemp(join(tmpdir(), 'matrix-media-edge-'));
    try {
      const report = join(folder, 'upload');
      await this.#wrangler(['versions', 'upload'], { env: { WRANGLER_OUTPUT_FILE_PATH: report } });
      return uploadedVersion(await readFile(report, 'utf8'));
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  async #refuseFlaws() {
    const { config, env } = this.#flags;
    const worker = await readWranglerToml(config, env);
    const found = flaws(worker);
    for (const doubt of doubts(worker)) this.#world.say(`deploy: ${doubt}`);
    if (found.length === 0) return;
    const lines = [`${config} can't be deployed:`, ...found, 'See "make configure"'];
    throw new Refusal(EXIT.unfit, lines.join('\n  '));
  }

  async #wrangler(argv, { env = {}, reads = false } = {}) {
    const { config, env: name } = this.#flags;
    const place = ['--config', config, ...(name === undefined ? [] : ['--env', name])];
    const { code, output } = await this.#world.wrangler([...argv, ...place], { env, reads });
    if (code === 0) return output;
    throw new Refusal(
      EXIT.failed,
      `"wrangler ${argv.join(' ')}" failed, and so nothing after it was done`,
    );
  }
}

function readFlags(argv) {
  try {
    return parseArgs({ args: argv, options: FLAGS }).values;
  } catch (error) {
    throw new Refusal(EXIT.usage, `${error.message}: see --help`);
  }
}
