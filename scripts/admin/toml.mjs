// Edits wrangler.toml line by line, so that every comment and all else in it stays as it is. It
// knows the layout that the file is shipped with; what came of an edit is for a real parser to say.

const KEY = /^\s*#?\s*[A-Za-z_]+\s*=/;

/** The text with a variable of `[vars]` set: changed where it stands, or else put in. */
export function withVariable(text, name, value) {
  return editLines(text, (lines) => {
    const start = lines.findIndex((line) => /^\s*\[vars\]/.test(line));
    const end = endOfTable(lines, start);
    const index = findLine(lines, new RegExp(`^\\s*${name}\\s*=`), start, end);
    if (index >= 0) {
      const parts = /^(\s*\w+\s*=\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s#]+)(.*)$/.exec(lines[index]);
      if (parts) lines[index] = `${parts[1]}${JSON.stringify(value)}${parts[2]}`;
      return;
    }
    const commented = findLine(lines, new RegExp(`^\\s*#\\s*${name}\\s*=`), start, end);
    lines.splice((commented >= 0 ? commented : start) + 1, 0, `${name} = ${JSON.stringify(value)}`);
  });
}

/** The text with a route, behind those that are there (or were commented out there). */
export function withRoute(text, route) {
  return editLines(text, (lines) => {
    const last = lines.findLastIndex((line) => /^\s*#?\s*\[\[routes\]\]/.test(line));
    let index = last < 0 ? lines.length : last + 1;
    while (last >= 0 && KEY.test(lines[index] ?? '')) index += 1;
    const entries = Object.entries(route).map(
      ([key, entry]) => `${key} = ${JSON.stringify(entry)}`,
    );
    lines.splice(index, 0, '', '[[routes]]', ...entries);
  });
}

/** The text without the route that has this pattern. Comments in its table stay. */
export function withoutRoute(text, { pattern }) {
  return editLines(text, (lines) => {
    const isOurs = new RegExp(`^\\s*pattern\\s*=\\s*["']${escape(pattern)}["']`);
    const entry = lines.findIndex((line) => isOurs.test(line));
    const start = lines.findLastIndex(
      (line, index) => index < entry && /^\s*\[\[routes\]\]/.test(line),
    );
    if (start < 0) return;
    const end = endOfTable(lines, start);
    const kept = lines.slice(start + 1, end).filter((line) => /^\s*(#|$)/.test(line));
    if (lines[start - 1]?.trim() === '' && kept[0]?.trim() === '') kept.shift();
    lines.splice(start, end - start, ...kept);
  });
}

function editLines(text, edit) {
  const lines = text.split('\n');
  edit(lines);
  return lines.join('\n');
}

function findLine(lines, pattern, start, end) {
  return lines.findIndex((line, index) => index > start && index < end && pattern.test(line));
}

/** Where the table that starts here ends: at the next one's header. */
function endOfTable(lines, start) {
  const next = lines.findIndex((line, index) => index > start && /^\s*\[/.test(line));
  return next < 0 ? lines.length : next;
}

function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
