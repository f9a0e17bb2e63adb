// The built Worker in workerd.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Starts it with these variables, in a layout of tests/support/edge.mjs; its addresses. */
export async function startEdge(test, vars, layout = {}) {
  const argv = ['tests/support/edge.mjs', 'build', JSON.stringify(vars), JSON.stringify(layout)];
  const edge = spawn(process.execPath, argv, { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
  test.after(async () => {
    const ended = once(edge, 'exit');
    edge.stdin.end();
    await ended;
  });
  for await (const line of createInterface({ input: edge.stdout })) {
    if (line.startsWith('READY ')) {
      edge.stdout.resume();
      return JSON.parse(line.slice(6));
    }
  }
  throw new Error('the Worker did not start');
}
