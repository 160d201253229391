/** A real Chromium (CHROME_PATH, or Debian's package) with a profile of its own, driven by playwright-core. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, type Page, chromium } from 'playwright-core';

export type TestBrowser = {
  /** A window of a person of its own: shares no storage with the others. */
  readonly newPerson: (size?: { readonly width: number; readonly height: number }) => Promise<BrowserContext>;
  /** Whatever any page wrote to its console as an error, and every uncaught fault. */
  readonly faults: readonly string[];
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What the browser itself reports when a server is away: expected in these tests. */
const isExpected = (text: string): boolean =>
  /WebSocket connection to|net::ERR_|Failed to load resource|favicon/.test(text);

export const startBrowser = async (): Promise<TestBrowser> => {
  const folder = await mkdtemp(join(tmpdir(), 'chat-browser-'));
  const browser = await chromium.launch({
    executablePath: process.env['CHROME_PATH'] ?? '/usr/bin/chromium',
    args: [...FLAGS, `--disk-cache-dir=${join(folder, 'cache')}`],
  });
  const faults: string[] = [];
  const watch = (page: Page): void => {
    page.on('pageerror', (error) => faults.push(`uncaught: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error' && !isExpected(message.text())) faults.push(message.text());
    });
  };
  return {
    newPerson: async (size = { width: 1100, height: 750 }) => {
      const context = await browser.newContext({ viewport: size, colorScheme: 'light', locale: 'en-GB' });
      context.setDefaultTimeout(15_000);
      context.on('page', watch);
      return context;
    },
    faults,
    [Symbol.asyncDispose]: async () => {
      await browser.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
