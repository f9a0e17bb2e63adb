// `make configure`: asks what the admin wants, finds the rest, shows what would change in
// wrangler.toml, and writes it. What it decides on is decided in plan.mjs and checks.mjs.
import { readFile, rename, writeFile } from 'node:fs/promises';

import { check } from './checks.mjs';
import { discover } from './discover.mjs';
import { HELP, parseOptions } from './options.mjs';
import { applyEdits, isResult, namesIn, planEdits } from './plan.mjs';
import { EXIT, Refusal } from './refusal.mjs';
import { describeChecks, describeDeployment, describeEdits, diff } from './summary.mjs';
import { settleNames, settleWanted } from './wanted.mjs';
import { readWranglerText } from './wrangler-config.mjs';

/**
 * Runs once and returns the exit code.
 *
 * @param world `{ env, file, say, terminal?, probe, findZone }`: `file` is wrangler.toml,
 *   `terminal` asks somebody (see terminal.mjs), `probe` and `findZone` ask the network.
 */
export async function configure(argv, world) {
  try {
    return await run(parseOptions(argv, world.env), world);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    world.say(`configure: ${error.message}`);
    return error.code;
  }
}

async function run(options, world) {
  if (options.isHelp) {
    world.say(HELP);
    return EXIT.done;
  }
  const path = options.config ?? world.file;
  const { text, present } = await readFileToEdit(path);
  const names = await settleNames(options, namesIn(present), world.terminal);
  const found = await discover(names, world.probe);
  const wanted = await settleWanted(names, found, present, world);
  const checks = check(found, wanted);
  world.say(`${describeChecks(checks)}\n`);
  if (found.base === undefined) {
    throw new Refusal(EXIT.unfit, 'no homeserver was found: --homeserver-url says where it is');
  }

  const edits = await settleHandEdits(planEdits(present, wanted), options, world.terminal);
  const { edited, result } = await tryEdits(path, text, present, edits);
  world.say(`${describeEdits(edits, path)}\n`);
  world.say(describeDeployment(result, wanted));
  await settleWriting(checks, edits, options, world.terminal);
  if (edits.length > 0 && !options.isDryRun) {
    await replaceFile(path, edited);
    world.say(`\n${path} is written; "make deploy" is next.`);
  }
  return EXIT.done;
}

async function readFileToEdit(path) {
  try {
    const text = await readFile(path, 'utf8');
    return { text, present: await readWranglerText(text) };
  } catch (error) {
    throw new Refusal(EXIT.failed, `${path} can't be read: ${error.message}`);
  }
}

/** The text after the edits and what wrangler reads in it, which must be what was meant. */
async function tryEdits(path, text, present, edits) {
  const edited = applyEdits(text, edits);
  const result = await readWranglerText(edited).catch(() => undefined);
  if (result && isResult(edits, present, result)) return { edited, result };
  const lines = [`${path} is laid out in a way that can't be edited here. Change it so:`];
  throw new Refusal(EXIT.failed, [...lines, ...edits.flatMap(diff)].join('\n'));
}

/** The edits that are left when all that was written by hand has been decided on. */
async function settleHandEdits(edits, { handEdits }, terminal) {
  const byHand = edits.filter(({ isHandEdit }) => isHandEdit);
  if (byHand.length === 0 || handEdits === 'overwrite') return edits;
  if (handEdits === 'keep') return edits.filter((edit) => !edit.isHandEdit);
  if (!terminal) {
    const lines = byHand.flatMap(diff).join('\n');
    throw new Refusal(
      EXIT.undecided,
      `these were written by hand; --overwrite or --keep decides on them:\n${lines}`,
    );
  }
  const settled = [];
  for (const edit of edits) {
    if (
      !edit.isHandEdit ||
      (await terminal.confirm(`Written by hand:\n${diff(edit).join('\n')}\nChange it?`))
    )
      settled.push(edit);
  }
  return settled;
}

/** Throws unless all is well and, where there is something to write, somebody wants it written. */
async function settleWriting(checks, edits, options, terminal) {
  const { writes, despiteChecks, isDryRun } = options;
  const isUnfit = !despiteChecks && checks.some(({ level }) => level === 'bad');
  const isSettled = isDryRun || writes || edits.length === 0;
  if (isUnfit && (isSettled || !terminal)) {
    throw new Refusal(
      EXIT.unfit,
      'a check went wrong, as told above; --despite-checks writes all the same',
    );
  }
  if (isSettled) return;
  const question = isUnfit
    ? 'A check went wrong, as told above. Write it all the same?'
    : 'Write it?';
  if (!terminal) throw new Refusal(EXIT.undecided, 'nothing was written: --yes writes it');
  if (!(await terminal.confirm(question))) throw new Refusal(EXIT.undecided, 'nothing was written');
}

/** Replaces the file in one step: an interruption leaves the old one. */
async function replaceFile(path, text) {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
