// Asks somebody at a terminal.
import { createInterface } from 'node:readline/promises';

import { EXIT, Refusal } from './refusal.mjs';

/** How often an answer may make no sense. */
const MAX_ATTEMPTS = 5;

/** The terminal, or nothing where there is none. */
export function openTerminal(input, output) {
  if (!input.isTTY || !output.isTTY) return undefined;
  return new Terminal(
    (question) => readLine(question, input, output),
    (text) => output.write(`${text}\n`),
  );
}

/** Questions, given how to read a line. */
export class Terminal {
  #readLine;
  #say;

  constructor(readLine, say) {
    this.#readLine = readLine;
    this.#say = say;
  }

  /** An answer that `parse` takes; an empty one takes the proposal. */
  async ask(question, { parse, proposal }) {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const line = (
        await this.#readLine(`${question}${proposal === undefined ? '' : ` [${proposal}]`}: `)
      ).trim();
      const { value, problem } = parse(line === '' && proposal !== undefined ? proposal : line);
      if (problem === undefined) return value;
      this.#say(`It ${problem}.`);
    }
    throw new Refusal(EXIT.usage, 'no answer made sense');
  }

  /** Whether the answer is yes; an empty one is no. */
  async confirm(question) {
    const parse = (text) => {
      if (/^y(es)?$/i.test(text)) return { value: true };
      return /^(no?)?$/i.test(text) ? { value: false } : { problem: 'must be y or n' };
    };
    return this.ask(`${question} [y/N]`, { parse });
  }
}

/** One line; Ctrl-C and the end of the input are an interruption. */
async function readLine(question, input, output) {
  const reader = createInterface({ input, output });
  const closed = new Promise((_, reject) => {
    reader.once('close', () =>
      reject(new Refusal(EXIT.interrupted, 'interrupted; nothing was written')),
    );
  });
  try {
    return await Promise.race([reader.question(question), closed]);
  } finally {
    closed.catch(() => {});
    reader.close();
  }
}
