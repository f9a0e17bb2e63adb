// `make check`: asks the deployed edge what its readers and its admin ask, and says what is wrong
// and how to fix it.
import { writeFile } from 'node:fs/promises';

import { readCheckOptions, HELP } from './check-options.mjs';
import { checkDocuments, fetchDocuments, savedDocuments } from './live-documents.mjs';
import { checkMedia } from './live-media.mjs';
import { checkRoutes, checkStatus } from './live-routes.mjs';
import { runSelfTest } from './live-selftest.mjs';
import { note } from './levels.mjs';
import { EXIT, Refusal } from './refusal.mjs';
import { describeCheck } from './summary.mjs';

/**
 * Runs once and returns the exit code.
 *
 * @param world `{ env, file, say, ask, pause, randomBytes }`: `file` is wrangler.toml, `ask` asks the
 *   network (see ask.mjs), `pause` waits for so many milliseconds.
 */
export async function check(argv, world) {
  try {
    return await run(await readCheckOptions(argv, world), world);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    world.say(`check: ${error.message}`);
    return error.code;
  }
}

async function run(options, world) {
  if (options.isHelp) {
    world.say(HELP);
    return EXIT.done;
  }
  const documents = await fetchDocuments(options, world);
  if (options.save !== undefined) {
    await writeFile(options.save, savedDocuments(documents));
    world.say(`${options.save} has the documents of ${options.wellKnownUrl}.`);
    return EXIT.done;
  }
  let isUnfit = false;
  const say = (found) => {
    isUnfit ||= found.level === 'bad';
    world.say(hush(describeCheck(found), options));
  };
  for (const step of steps(options, documents, world)) for await (const found of step) say(found);
  return isUnfit ? EXIT.failed : EXIT.done;
}

/** What is looked at, in order: each yields its findings as they are made. */
function steps(options, documents, world) {
  const { token, adminToken } = options;
  return [
    checkRoutes(options, world),
    checkStatus(options, world),
    checkDocuments(documents, options),
    token === undefined
      ? [note('media was not uploaded and read', "Put a user's access token into MATRIX_ACCESS_TOKEN of the environment")]
      : checkMedia(options, world),
    adminToken === undefined
      ? [note('the self-test was not run', "Put the Worker's ADMIN_TOKEN into the environment")]
      : runSelfTest(options, world),
  ];
}

/** A text without the secrets, whatever a server has made of them. */
function hush(text, { token, adminToken }) {
  return [token, adminToken]
    .filter((secret) => secret !== undefined)
    .reduce((hushed, secret) => hushed.replaceAll(secret, '…'), text);
}
