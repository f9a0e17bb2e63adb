// The status page, made from the same JSON that `/_edge/status` tells. No script runs in it.

const STYLE = `
:root{color-scheme:light dark;--ground:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--good:#1a7f37;--unsure:#8a5a00;--bad:#c21f2f;--served:#0b62c4;--origin:#a04a00}
@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--ink:#e6edf3;--soft:#9aa5b1;--line:#3d444d;--good:#57d374;--unsure:#e3b341;--bad:#ff7b72;--served:#6cb6ff;--origin:#ffa657}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.5rem 0 .5rem}
p{margin:.5rem 0}.soft{color:var(--soft)}
.verdict{font-weight:600;font-size:1.15rem}
.good{color:var(--good)}.unsure{color:var(--unsure)}.bad{color:var(--bad)}
ul{list-style:none;margin:0;padding:0}
li{padding:.75rem 0;border-top:1px solid var(--line)}
li h3{font-size:1rem;margin:0;display:flex;justify-content:space-between;gap:1rem;flex-wrap:wrap}
form{display:flex;gap:.5rem;flex-wrap:wrap;align-items:end;margin-top:2.5rem}
label{display:grid;gap:.25rem;flex:1 1 14rem}
input,button{font:inherit;color:inherit;background:transparent;border:1px solid var(--soft);border-radius:.4rem;padding:.5rem .75rem}
button{cursor:pointer}
:focus-visible{outline:3px solid var(--served);outline-offset:2px}
figure{margin:0}svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}
.served{fill:var(--served)}.origin{fill:var(--origin)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .5rem;border-top:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}
.scroll{overflow-x:auto}`;

const WORDS = { good: "All right", unsure: "Have a look", bad: "To mend" };

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const date = (seconds) => new Date(seconds * 1000).toISOString();

/** A number of bytes for people. */
function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

function checks(list) {
  const items = list.map(
    ({ check, level, found, cure }) =>
      `<li><h3>${escape(check)} <span class="${level}">${WORDS[level]}</span></h3>` +
      `<p>${escape(found)}</p>${cure === null ? "" : `<p class="soft">${escape(cure)}</p>`}</li>`,
  );
  return `<h2>Checks</h2><ul>${items.join("")}</ul>`;
}

/** Two bars a day: bytes served, and bytes that came from the homeserver for it. */
function plot(days) {
  const most = Math.max(1, ...days.map((day) => Math.max(day.served_bytes, day.origin_bytes)));
  const step = 600 / days.length;
  const width = Math.min(24, step / 2 - 2);
  const bars = days.map((day, number) => {
    const bar = (kind, bytes, left) => {
      const height = (bytes / most) * 130;
      return `<rect class="${kind}" x="${left}" y="${150 - height}" width="${width}" height="${height}"/>`;
    };
    const left = 50 + number * step;
    const label = `<text x="${left}" y="168">${date(day.began_unix_secs).slice(5, 10)}</text>`;
    return (
      bar("served", day.served_bytes, left) +
      bar("origin", day.origin_bytes, left + width + 1) +
      (number % Math.ceil(days.length / 10) === 0 ? label : "")
    );
  });
  return (
    `<figure><svg viewBox="0 0 660 175" role="img" aria-label="Bytes served and bytes from the homeserver, by day">` +
    `<text x="0" y="24">${size(most)}</text><text x="0" y="150">0</text>${bars.join("")}</svg>` +
    `<figcaption class="soft">By day: bytes served (left bar), and bytes that the homeserver sent for them (right bar).</figcaption></figure>`
  );
}

function savings(days) {
  const sum = (name) => days.reduce((total, day) => total + day[name], 0);
  const share = (part, whole) => (whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`);
  const rows = days.map(
    (day) =>
      `<tr><td>${date(day.began_unix_secs).slice(0, 10)}</td><td>${day.requests}</td>` +
      `<td>${share(day.from_store, day.requests)}</td><td>${size(day.served_bytes)}</td>` +
      `<td>${size(day.origin_bytes)}</td></tr>`,
  );
  return (
    `<h2>What the edge saved</h2>` +
    `<p>Of ${sum("requests")} requests ${share(sum("from_store"), sum("requests"))} were served from what is stored; ` +
    `${size(sum("served_bytes"))} went to readers, ${size(sum("origin_bytes"))} came from the homeserver.</p>` +
    `<p class="soft">Counted by the one isolate that made this page, since it started. ` +
    `For all of them bind METRICS: docs/numbers.md has the queries.</p>` +
    (days.length === 0 ? "" : plot(days)) +
    `<div class="scroll"><table><thead><tr><th scope="col">Day (UTC)</th><th scope="col">Requests</th><th scope="col">From store</th>` +
    `<th scope="col">Served</th><th scope="col">From homeserver</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`
  );
}

/** The page; `notice` is what to say of a token that is not the admin's, if one was shown. */
export function page(json, hasAdmin, notice) {
  const status = JSON.parse(json);
  const form =
    `<form method="post"><label>ADMIN_TOKEN<input type="password" name="token" autocomplete="current-password" required></label>` +
    `<button>Show details</button></form>`;
  const verdict = status.ok
    ? `<p class="verdict good">All is well.</p>`
    : `<p class="verdict bad">Something is to be mended.</p>`;
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<meta name="robots" content="noindex"><title>Media of ${escape(status.server_name)}</title><style>${STYLE}</style></head>` +
    `<body><main><h1>Media of ${escape(status.server_name)}</h1>` +
    `<p class="soft">This host serves the media of a Matrix homeserver (matrix-media-edge). Use a Matrix client to see any.</p>` +
    `${verdict}<p class="soft">Checked ${date(status.checked_unix_secs)}</p>` +
    (notice === "" ? "" : `<p class="bad" role="alert">${escape(notice)}</p>`) +
    (status.checks === undefined ? "" : checks(status.checks) + savings(status.isolate_days)) +
    (hasAdmin && status.checks === undefined ? form : "") +
    `</main></body></html>`
  );
}
