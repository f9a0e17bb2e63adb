// The status page, made from the same JSON that `/_edge/status` tells. No script runs in it.

const STYLE = `
:root{color-scheme:light dark;--ground:#f5f6f8;--card:#fff;--ink:#1a1d23;--soft:#59616d;--line:#dcdfe5;--good:#14713a;--unsure:#855300;--bad:#bd1e2c;--served:#1d63c8;--origin:#c2571a}
@media(prefers-color-scheme:dark){:root{--ground:#101317;--card:#191d23;--ink:#e8ebf0;--soft:#9ba5b3;--line:#2f353e;--good:#5fd38a;--unsure:#e6b450;--bad:#ff7d7d;--served:#6cabff;--origin:#f2995c}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:48rem;margin:0 auto;padding:3rem 1.25rem 4rem}
h1,h2,h3,p,ul,dl,dd,figure{margin:0;padding:0}
h1{font-size:1.75rem;line-height:1.25;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:2.75rem 0 .75rem}
h3{font-size:1rem}h1+p{margin-top:.35rem}
a{color:var(--served)}
.soft{color:var(--soft)}.small{font-size:.875rem}
.good{--tone:var(--good)}.unsure{--tone:var(--unsure)}.bad{--tone:var(--bad)}
.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem}
.verdict{display:flex;gap:1rem;align-items:center;margin:1.5rem 0 1rem;padding:1.25rem;border-left:.375rem solid var(--tone)}
.verdict strong{display:block;font-size:1.2rem;line-height:1.35;color:var(--tone)}
.mark{flex:none;width:1.5rem;height:1.5rem;border-radius:50%;background:var(--tone);color:var(--card);font-weight:700;line-height:1.5rem;text-align:center}
.verdict .mark{width:2.5rem;height:2.5rem;font-size:1.35rem;line-height:2.5rem}
ul{list-style:none}
li{display:flex;gap:1rem;padding:.9rem 1.25rem}
li+li{border-top:1px solid var(--line)}
b{color:var(--tone);font-weight:600;white-space:nowrap}
.cure{margin-top:.35rem;padding-left:.75rem;border-left:2px solid var(--tone)}
form p{flex:1 0 100%;color:var(--tone);font-weight:600}
form{display:flex;gap:.75rem;flex-wrap:wrap;align-items:end;padding:1.25rem}
label{display:grid;gap:.35rem;flex:1 1 15rem;font-weight:600}
input,button{font:inherit;min-height:2.75rem;border-radius:.5rem;padding:.5rem .9rem}
input{width:100%;color:inherit;background:var(--ground);border:1px solid var(--soft)}
button{cursor:pointer;color:var(--card);background:var(--ink);border:0;font-weight:600}
:focus-visible{outline:3px solid var(--served);outline-offset:2px}
dl{display:flex;flex-wrap:wrap;gap:.75rem}
dl div{flex:1 1 9rem;display:flex;flex-direction:column-reverse;justify-content:flex-end;padding:1rem 1.25rem}
dd{white-space:nowrap;font-size:1.6rem;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
figure{margin-top:.75rem;padding:1.25rem;overflow-x:auto}
figure svg{display:block;width:100%;min-width:34rem;height:auto;margin-bottom:.5rem}
figure text{fill:var(--soft);font-size:13px}
figure line{stroke:var(--line)}
.served{fill:var(--served);background:var(--served)}.origin{fill:var(--origin);background:var(--origin)}
i{display:inline-block;width:.7rem;height:.7rem;border-radius:.15rem;margin:0 .4rem 0 0}
i~i{margin-left:1rem}
.scroll{margin-top:.75rem;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;overflow-wrap:normal;white-space:nowrap;font-size:.9rem}
th,td{text-align:right;padding:.5rem 1.25rem .5rem .5rem}
th{font-weight:600}
tbody tr{border-top:1px solid var(--line)}
th:first-child{text-align:left;padding-left:1.25rem}
footer{margin-top:2.75rem}`;

/** By level: a sign and a word. A colour alone is not for everyone. */
const LEVELS = {
  good: ["✓", "All right"],
  unsure: ["?", "Have a look"],
  bad: ["!", "To mend"],
};
const WORST_FIRST = ["bad", "unsure", "good"];

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const date = (seconds) => new Date(seconds * 1000).toISOString();
const day = (seconds) => date(seconds).slice(0, 10);
const minute = (seconds) => date(seconds).replace("T", " ").slice(0, 19) + " UTC";

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

const share = (part, whole) => (whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`);

function verdict({ ok, checked_unix_secs }) {
  const level = ok ? "good" : "bad";
  const words = ok ? "All is well" : "Something is to be mended";
  return (
    `<div class="card verdict ${level}"><span class="mark" aria-hidden="true">${LEVELS[level][0]}</span>` +
    `<p><strong>${words}</strong><span class="soft small">Checked ${minute(checked_unix_secs)}</span></p></div>`
  );
}

function form(isRefused) {
  const notice = `<p class="bad" role="alert" id="notice">That is not the ADMIN_TOKEN of this edge.</p>`;
  const marks = ` aria-invalid="true" aria-describedby="notice"`;
  return (
    `<h2>Details</h2><form method="post" class="card">${isRefused ? notice : ""}<label>ADMIN_TOKEN` +
    `<input type="password" name="token" autocomplete="current-password" required${isRefused ? marks : ""}>` +
    `</label><button>Show what was found</button></form>`
  );
}

function checks(list) {
  const sorted = WORST_FIRST.flatMap((level) => list.filter((finding) => finding.level === level));
  const items = sorted.map(({ check, level, found, cure }) => {
    const [sign, word] = LEVELS[level];
    const mending = cure === null ? "" : `<p class="cure small">${escape(cure)}</p>`;
    return (
      `<li class="${level}"><span class="mark" aria-hidden="true">${sign}</span><div>` +
      `<h3>${escape(check)} <b class="small">${word}</b></h3><p class="soft">${escape(found)}</p>${mending}</div></li>`
    );
  });
  return `<h2>Checks</h2><ul class="card" role="list">${items.join("")}</ul>`;
}

/** Two bars a day: bytes served, and bytes that came from the homeserver for them. */
function plot(days) {
  const [width, height, left, bottom] = [640, 200, 64, 170];
  const most = Math.max(...days.map((day) => Math.max(day.served_bytes, day.origin_bytes)));
  const step = (width - left) / days.length;
  const bar = Math.min(28, step * 0.36);
  const labelled = Math.ceil(days.length / 8);
  const columns = days.map((day, number) => {
    const middle = left + (number + 0.5) * step;
    const rect = (kind, bytes, x) => {
      const tall = (bytes / most) * (bottom - 20);
      return `<rect class="${kind}" x="${x.toFixed(1)}" y="${(bottom - tall).toFixed(1)}" width="${bar.toFixed(1)}" height="${tall.toFixed(1)}" rx="2"/>`;
    };
    const label = `<text x="${middle.toFixed(1)}" y="${height - 8}" text-anchor="middle">${date(day.began_unix_secs).slice(5, 10)}</text>`;
    return (
      rect("served", day.served_bytes, middle - bar - 1) +
      rect("origin", day.origin_bytes, middle + 1) +
      (number % labelled === 0 ? label : "")
    );
  });
  const level = (y, text) =>
    `<line x1="${left}" x2="${width}" y1="${y}" y2="${y}"/><text x="${left - 8}" y="${y + 4}" text-anchor="end">${text}</text>`;
  return (
    `<figure class="card" tabindex="0"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Bytes to readers and bytes from the homeserver, by day; the table has the numbers">` +
    `${level(20, size(most))}${level(95, size(most / 2))}${level(bottom, "0")}${columns.join("")}</svg>` +
    `<figcaption class="small"><i class="served"></i>To readers <i class="origin"></i>From the homeserver</figcaption></figure>`
  );
}

function savings(days) {
  const sum = (name) => days.reduce((total, day) => total + day[name], 0);
  const [requests, fromStore] = [sum("requests"), sum("from_store")];
  const figures = [
    ["of requests served from store", share(fromStore, requests)],
    ["to readers", size(sum("served_bytes"))],
    ["from the homeserver", size(sum("origin_bytes"))],
  ];
  const heads = ["Day (UTC)", "Requests", "From store", "To readers", "From homeserver"];
  const rows = days.map(
    (one) =>
      `<tr><th scope="row">${day(one.began_unix_secs)}</th><td>${one.requests}</td>` +
      `<td>${share(one.from_store, one.requests)}</td><td>${size(one.served_bytes)}</td>` +
      `<td>${size(one.origin_bytes)}</td></tr>`,
  );
  const table =
    `<div class="card scroll" tabindex="0" role="region" aria-label="By day"><table><thead><tr>` +
    `${heads.map((head) => `<th scope="col">${head}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
  return (
    `<h2>What the edge saved</h2>` +
    `<dl>${figures.map(([name, value]) => `<div class="card"><dt class="soft small">${name}</dt><dd>${value}</dd></div>`).join("")}</dl>` +
    (days.some(({ served_bytes }) => served_bytes > 0) ? plot(days) : "") +
    (days.length === 0 ? "" : table) +
    `<p class="soft small" style="margin-top:.75rem">Counted by the one isolate that made this page, since it started; Cloudflare runs many, ` +
    `and ends them often. For all of them bind METRICS: docs/numbers.md has the queries.</p>`
  );
}

/** The page. `isRefused` says that a token was shown which is not the admin's. */
export function page(json, hasAdmin, isRefused) {
  const status = JSON.parse(json);
  const name = escape(status.server_name);
  const isDetailed = status.checks !== undefined;
  const details = isDetailed ? checks(status.checks) + savings(status.isolate_days) : "";
  const version = isDetailed ? ` ${escape(status.version)}` : "";
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">` +
    `<meta name="robots" content="noindex"><title>${status.ok ? "✓" : "!"} Media of ${name}</title><style>${STYLE}</style></head>` +
    `<body><main><h1>Media of ${name}</h1>` +
    `<p class="soft">This host serves the media of a Matrix homeserver. To see any, use a Matrix client.</p>` +
    `${verdict(status)}${details}${hasAdmin && !isDetailed ? form(isRefused) : ""}` +
    `<footer class="soft small">matrix-media-edge${version}</footer></main></body></html>`
  );
}
