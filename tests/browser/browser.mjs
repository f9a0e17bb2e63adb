// A real browser, and a site for its pages that belongs to neither the homeserver nor the edge.
import { existsSync } from 'node:fs';
import http from 'node:http';
import { delimiter, join } from 'node:path';
import process from 'node:process';

import { chromium } from 'playwright-core';

// Starts one, with these arguments on top of ours. Returns `{ onPage(action, options), close() }`:
// `action` gets a page of its own, with Playwright's options of a context.
export async function launch(args = []) {
  const site = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end());
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({
    executablePath: findBrowser(),
    // Root, as which tests in containers run, has no sandbox; all pages here are our own.
    args: ['--no-sandbox', '--disable-background-networking', ...args],
  });
  return {
    async onPage(action, options) {
      const page = await browser.newPage(options);
      try {
        await page.goto(`http://127.0.0.1:${site.address().port}/`);
        return await action(page);
      } finally {
        await page.close();
      }
    },
    async close() {
      await browser.close();
      site.close();
    },
  };
}

export function fail(reason) {
  console.error(reason);
  process.exit(1);
}

function findBrowser() {
  const paths = ['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) =>
    process.env.PATH.split(delimiter).map((folder) => join(folder, name)));
  return paths.find(existsSync) ?? fail('Neither Chromium nor Chrome is in PATH: run scripts/setup');
}
