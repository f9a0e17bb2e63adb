// Looks at the status page in a real browser: as strangers and the admin see it, light, dark and on
// a phone, with little and with much to show.
//
//     node status.mjs <URL of the page> <ADMIN_TOKEN> <a page with much to show> [folder for screenshots]
//
// Prints one line of JSON: for each view what axe has against it, whether it is wider than the
// screen, and what it loaded; and what came of the form where no script may run.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';

import { fail, launch } from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WHOLE_PATIENCE_MS = 110_000;
const DESKTOP = { width: 1100, height: 900 };
const PHONE = { width: 360, height: 740 };
const SCREENS = {
  light: { colorScheme: 'light', viewport: DESKTOP },
  dark: { colorScheme: 'dark', viewport: DESKTOP },
  phone: { colorScheme: 'light', viewport: PHONE },
  'phone-dark': { colorScheme: 'dark', viewport: PHONE },
};
const TRUSTING = { ignoreHTTPSErrors: true };
const FORM = 'input[name=token]';

const [url, adminToken, fullPage, folder] = process.argv.slice(2);
setTimeout(() => fail('The browser hangs'), WHOLE_PATIENCE_MS).unref();

const { onPage, close } = await launch([`--host-resolver-rules=MAP ${new URL(url).hostname} 127.0.0.1`]);
try {
  const views = {};
  for (const [screen, options] of Object.entries(SCREENS)) {
    for (const [name, show] of Object.entries({ public: open, refused, details, much })) {
      const view = `${name}-${screen}`;
      views[view] = await onPage((page) => look(page, show, view), { ...TRUSTING, ...options });
    }
  }
  const form = await onPage(useForm, { ...TRUSTING, javaScriptEnabled: false });
  console.log(JSON.stringify({ views, form }));
} finally {
  await close();
}

async function look(page, show, name) {
  const loaded = [];
  page.on('request', (request) => loaded.push(new URL(request.url()).pathname));
  await show(page);
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  // The page's policy lets nothing be added to it, but the debugger in.
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
  return { violations: told, passes: passes.length, isTooWide, loaded: [...new Set(loaded)] };
}

async function open(page) {
  await page.goto(url);
}

async function send(page, token) {
  await page.goto(url);
  await page.fill(FORM, token);
  await page.click('button');
  await page.waitForSelector('h2');
}

async function refused(page) {
  await send(page, 'not the token');
}

async function details(page) {
  await send(page, adminToken);
}

// All that the page can have to show at once.
async function much(page) {
  await page.setContent(fullPage);
}

// What a person sees who has no script: of a wrong token, and of the right one.
async function useForm(page) {
  await send(page, 'not the token');
  const refusal = await page.textContent('[role=alert]');
  await page.fill(FORM, adminToken);
  await page.click('button');
  const heads = await page.locator('h2').allTextContents();
  return { refusal, heads, hasForm: (await page.locator(FORM).count()) > 0 };
}
