// Has the Worker test itself, and says what it found.
import { bad, note, ok } from './levels.mjs';
import { printable } from './names.mjs';
import { errcode, readObject } from './reading.mjs';

/** How long a self-test may take and a little, in milliseconds. */
const PATIENCE_MS = 25_000;

const LEVELS = { good: ok, unsure: note, bad };

/** The most of a sentence of the Worker's that is printed. */
const MAX_TEXT = 400;

const FAILURES = {
  403: "ADMIN_TOKEN of the environment is not the Worker's: put the secret again, or take the right one",
  404: 'Give the Worker an ADMIN_TOKEN (npx wrangler secret put ADMIN_TOKEN), and deploy this version',
  429: 'Another self-test is running: do this again in 15 s',
};

/** Runs the self-test. */
export async function* runSelfTest({ mediaUrl, adminToken }, { ask }) {
  const url = `${mediaUrl}/_edge/selftest`;
  const headers = { Authorization: `Bearer ${adminToken}` };
  const answer = await ask(url, {
    method: 'POST',
    headers,
    body: Buffer.alloc(0),
    patienceMs: PATIENCE_MS,
  });
  const { status, object, problem } = readObject(answer);
  if (problem !== undefined || status !== 200 || !Array.isArray(object.checks)) {
    const said = problem ?? `status ${status}, ${errcode(object)}`;
    const cure = FAILURES[status] ?? "See the Worker's log (npx wrangler tail)";
    yield bad(`the self-test answers with ${said}`, cure);
    return;
  }
  for (const { check, level, found, cure } of object.checks) {
    const what = `self-test, ${text(check)}: ${withoutDot(text(found))}`;
    yield (LEVELS[level] ?? note)(what, typeof cure === 'string' ? withoutDot(text(cure)) : undefined);
  }
}

function text(of) {
  return String(of)
    .slice(0, MAX_TEXT)
    .split(' ')
    .map((word) => printable(word))
    .join(' ');
}

function withoutDot(sentence) {
  return sentence.replace(/\.$/, '');
}
