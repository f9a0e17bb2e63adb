// A real browser, and a site for its pages that belongs to neither the homeserver nor the edge.
import { existsSync } from 'node:fs';
import http from 'node:http';
import { delimiter, join } from 'node:path';
import process from 'node:process';

import { chromium } from 'playwright-core';

// Starts one, with these arguments on top of ours. What the site has at which path is in `paths`, as
// `{ headers, body }`; all else is an empty page. Returns `{ onPage(action, options), close() }`:
// `action` gets a page of its own, with Playwright's options of a context, at `path`.
export async function launch(args = [], paths = {}) {
  const site = http.createServer(({ url }, response) => {
    const { headers, body } = paths[url] ?? {};
    response.writeHead(200, { 'Content-Type': 'text/html', ...headers }).end(body);
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({
    executablePath: findBrowser(),
    // Root, as which tests in containers run, has no sandbox; all pages here are our own.
    args: ['--no-sandbox', '--disable-background-networking', ...args],
  });
  return {
    async onPage(action, { path = '/', ...options } = {}) {
      const page = await browser.newPage(options);
      try {
        // To browsers this is another site than 127.0.0.1, and as safe as one with TLS.
        await page.goto(`http://localhost:${site.address().port}${path}`);
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
