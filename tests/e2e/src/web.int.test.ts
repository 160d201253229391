/// <reference lib="dom" />
/**
 * The chat page in a real browser on the real system: what a newcomer does, with a gateway that dies under it.
 * One stack for the file; each test has channels and people's windows of its own.
 */

import { fileURLToPath } from 'node:url';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import type { SeededTeam } from '@chat/testkit/processes/seed-team';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it, onTestFailed } from 'vitest';
import { type TestBrowser, startBrowser } from './browser.ts';

const webRoot = fileURLToPath(new URL('../../../apps/web', import.meta.url));
const LONG_HISTORY_COUNT = 130;

let stack: ChatStack;
let browser: TestBrowser;
let team: SeededTeam;
const contexts: BrowserContext[] = [];

beforeAll(async () => {
  const { build } = await import('vite');
  await build({ root: webRoot, logLevel: 'error' });
  stack = await startChatStack({ gateways: 2, fsync: false });
  const history = Array.from({ length: LONG_HISTORY_COUNT }, (_, i) => ({
    // Not the people of the other tests: those would meet their rate limit.
    from: i % 2 === 0 ? 'dave' : 'erin',
    channel: 'history',
    text: `old message ${i + 1}`,
  }));
  team = await stack.seedTeam({
    name: 'Web team',
    owner: 'alice',
    members: ['bob', 'carol', 'dave', 'erin'],
    channels: [
      { name: 'general' },
      { name: 'reload' },
      { name: 'phone' },
      { name: 'closed tab' },
      { name: 'history' },
      { name: 'elsewhere', members: [] },
    ],
    messages: history,
  });
  browser = await startBrowser();
}, 120_000);

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await stack?.[Symbol.asyncDispose]();
});

const tellOnFailure = (): void => {
  onTestFailed(() => {
    console.error(browser.faults.join('\n'), stack.tails());
  });
};

/** A window of `user`, connected; `channel` open when named. */
const openAs = async (
  user: string,
  channel?: string,
  size?: { readonly width: number; readonly height: number },
): Promise<Page> => {
  const context = await browser.newPerson(size);
  contexts.push(context);
  const page = await context.newPage();
  const channelId = channel === undefined ? '' : `/${team.channels[channel]}`;
  await page.goto(`${stack.apiUrl}/#/${user}${channelId}`);
  if (channel !== undefined) await page.getByRole('heading', { name: channel, level: 2 }).waitFor();
  return page;
};

const connected = (page: Page): Promise<void> => page.getByText('Connected', { exact: false }).waitFor();

const say = async (page: Page, text: string): Promise<void> => {
  const box = page.getByRole('textbox', { name: /^Message/ });
  await box.fill(text);
  await box.press('Enter');
};

const textsOf = (page: Page): Promise<readonly string[]> => page.locator('.messages .text').allInnerTexts();

/** Waits until the page shows exactly these texts at the end of its history. */
const shows = async (page: Page, texts: readonly string[]): Promise<void> => {
  await expect
    .poll(async () => (await textsOf(page)).slice(-texts.length), { timeout: 20_000 })
    .toEqual(texts);
};

const savedCount = (page: Page): Promise<number> => page.getByRole('img', { name: 'saved' }).count();

/** `gateway-1` or `gateway-2`: which one serves this page, as the page itself says. */
const gatewayOf = async (page: Page): Promise<string> => {
  const host = (await page.locator('.gateway').innerText()).replace(/[^\d.:]/g, '');
  const index = stack.gatewayUrls.findIndex((url) => url.endsWith(host));
  if (host === '' || index < 0) throw new Error(`no gateway at "${host}"`);
  return `gateway-${index + 1}`;
};

it('a newcomer picks a user and talks; the gateway dies; both see every message once and in order', async () => {
  tellOnFailure();
  const context = await browser.newPerson();
  contexts.push(context);
  const alice = await context.newPage();
  await alice.goto(stack.apiUrl);
  await alice.getByRole('button', { name: 'Alice' }).click();
  await alice.getByRole('button', { name: /general/ }).click();
  const bob = await openAs('bob', 'general');
  await Promise.all([connected(alice), connected(bob)]);

  await say(alice, 'hello bob');
  await shows(bob, ['hello bob']);
  await say(bob, 'hello alice');
  await shows(alice, ['hello bob', 'hello alice']);
  await expect.poll(() => savedCount(alice)).toBe(1);

  const dying = await gatewayOf(alice);
  await stack.kill(dying);
  // Typed while nobody may have noticed yet, and while there is no connection.
  for (const text of ['one', 'two', 'three']) await say(alice, text);
  await say(bob, 'still there?');
  await expect.poll(() => gatewayOf(alice).catch(() => dying), { timeout: 20_000 }).not.toBe(dying);
  await say(alice, 'four');

  await expect.poll(async () => (await textsOf(bob)).length, { timeout: 20_000 }).toBe(7);
  const seen = await textsOf(bob);
  expect([...seen].sort()).toEqual(
    ['hello bob', 'hello alice', 'one', 'two', 'three', 'four', 'still there?'].sort(),
  );
  expect(seen.filter((text) => ['one', 'two', 'three', 'four'].includes(text))).toEqual([
    'one',
    'two',
    'three',
    'four',
  ]);
  await shows(alice, seen);
  await expect.poll(() => savedCount(alice)).toBe(5);
  await stack.start(dying);
  await stack.ready(dying);
}, 90_000);

it('a reload loses nothing that was not saved yet, and saves it once', async () => {
  tellOnFailure();
  const alice = await openAs('alice', 'reload');
  const bob = await openAs('bob', 'reload');
  await Promise.all([connected(alice), connected(bob)]);
  await stack.stop('gateway-1');
  await stack.stop('gateway-2');
  await alice.getByText('Connection lost. Go on writing', { exact: false }).waitFor();
  for (const text of ['kept 1', 'kept 2']) await say(alice, text);
  await shows(alice, ['kept 1', 'kept 2']);
  expect(await alice.getByRole('img', { name: 'sending' }).count()).toBe(2);

  await alice.reload();
  await stack.start('gateway-1');
  await stack.start('gateway-2');
  await shows(alice, ['kept 1', 'kept 2']);
  await expect.poll(() => savedCount(alice), { timeout: 30_000 }).toBe(2);
  await shows(bob, ['kept 1', 'kept 2']);
  expect(await textsOf(bob)).toHaveLength(2);
}, 90_000);

it('what a closed tab left unsaved is sent by the next one', async () => {
  tellOnFailure();
  const context = await browser.newPerson();
  contexts.push(context);
  const address = `${stack.apiUrl}/#/alice/${team.channels['closed tab']}`;
  const first = await context.newPage();
  await first.goto(address);
  await connected(first);
  await stack.stop('gateway-1');
  await stack.stop('gateway-2');
  await first.getByText('Connection lost. Go on writing', { exact: false }).waitFor();
  await say(first, 'left behind');
  await first.close();
  await stack.start('gateway-1');
  await stack.start('gateway-2');
  const second = await context.newPage();
  // A page starts with what closed tabs left; the browser lets a closed tab's lock go a moment later.
  await second.goto(`${stack.apiUrl}/openapi.json`);
  const heldCount = (): Promise<number> =>
    second.evaluate('navigator.locks.query().then(({ held }) => held.length)');
  await expect.poll(heldCount, { timeout: 10_000 }).toBe(0);
  await second.goto(address);
  await expect.poll(() => savedCount(second), { timeout: 30_000 }).toBe(1);
  await shows(second, ['left behind']);
}, 90_000);

it('history comes by scrolling up, to its beginning, and the place one reads stays', async () => {
  tellOnFailure();
  const alice = await openAs('alice', 'history');
  await shows(alice, [`old message ${LONG_HISTORY_COUNT}`]);
  const box = alice.getByRole('region', { name: 'Messages' });
  const held = (): Promise<number> => alice.locator('.messages > li').count();
  const before = await held();
  expect(before).toBeLessThan(LONG_HISTORY_COUNT);
  const top = alice.locator('.messages > li').first();
  const topText = await top.locator('.text').innerText();
  await box.evaluate((element) => (element.scrollTop = 0));
  await expect.poll(held).toBeGreaterThan(before);
  const drift = await alice
    .locator('.messages > li', { has: alice.getByText(topText, { exact: true }) })
    .evaluate((element) => {
      const place = element.closest('.log')?.getBoundingClientRect();
      return element.getBoundingClientRect().top - (place?.top ?? 0);
    });
  expect(Math.abs(drift)).toBeLessThan(400);
  await expect
    .poll(async () => {
      await box.evaluate((element) => (element.scrollTop = 0));
      return held();
    })
    .toBe(LONG_HISTORY_COUNT);
  await alice.getByText('This is where it began.').waitFor();
  expect(await textsOf(alice)).toEqual(
    Array.from({ length: LONG_HISTORY_COUNT }, (_, i) => `old message ${i + 1}`),
  );
}, 60_000);

it('channels are made, joined and left; unread messages are counted; refusals come in words', async () => {
  tellOnFailure();
  const bob = await openAs('bob', 'general');
  const carol = await openAs('carol', 'general');
  await Promise.all([connected(bob), connected(carol)]);

  await bob.getByRole('button', { name: 'New channel' }).click();
  const dialog = bob.getByRole('dialog', { name: 'New channel' });
  await dialog.getByLabel('Name').fill('general');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByRole('alert').filter({ hasText: 'public channel of this name exists' }).waitFor();
  await dialog.getByLabel('Name').fill('plans');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await bob.getByRole('heading', { name: 'plans', level: 2 }).waitFor();

  await carol.getByRole('button', { name: 'Join plans' }).click();
  await carol.getByRole('textbox', { name: 'Message #plans' }).waitFor();
  await carol.getByRole('button', { name: /general/ }).click();
  await say(bob, 'what do we do');
  await say(bob, 'tomorrow?');
  await carol.getByRole('button', { name: /^plans .*2 unread messages$/ }).waitFor();
  await carol.getByRole('button', { name: /plans/ }).click();
  await shows(carol, ['what do we do', 'tomorrow?']);
  await carol.getByRole('button', { name: 'plans', exact: true }).waitFor();
  await carol.getByRole('button', { name: 'Leave' }).click();
  await carol.getByText('You are reading along', { exact: false }).waitFor();
}, 60_000);

it('works with the keyboard alone, and says to a screen reader what is where and what is new', async () => {
  tellOnFailure();
  const bob = await openAs('bob', 'general');
  const carol = await openAs('carol');
  await connected(bob);
  await connected(carol);
  for (const role of ['main', 'navigation', 'complementary'] as const) {
    expect(await carol.getByRole(role).count(), role).toBeGreaterThan(0);
  }
  const channel = carol.getByRole('button', { name: /general/ });
  for (
    let i = 0;
    i < 30 && !(await channel.evaluate((element) => element === document.activeElement));
    i += 1
  ) {
    await carol.keyboard.press('Tab');
  }
  await carol.keyboard.press('Enter');
  await carol.getByRole('heading', { name: 'general', level: 2 }).waitFor();
  await expect
    .poll(() => carol.evaluate(() => document.activeElement?.tagName), { timeout: 5_000 })
    .toBe('TEXTAREA');
  await carol.keyboard.type('by keyboard');
  await carol.keyboard.press('Shift+Enter');
  await carol.keyboard.type('two lines');
  await carol.keyboard.press('Enter');
  await shows(bob, ['by keyboard\ntwo lines']);
  await expect.poll(() => bob.locator('[aria-live=polite]').innerText()).toContain('Carol: by keyboard');

  const nameless = await carol.evaluate(() =>
    [...document.querySelectorAll('button, input, textarea')]
      .filter((element) => {
        const labels = (element as HTMLInputElement).labels;
        const name = element.getAttribute('aria-label') ?? element.textContent ?? '';
        return name.trim() === '' && (labels?.length ?? 0) === 0;
      })
      .map((element) => element.outerHTML),
  );
  expect(nameless).toEqual([]);
}, 60_000);

it('fits a phone of 360 pixels: one of list and conversation at a time, nothing to scroll sideways', async () => {
  tellOnFailure();
  const alice = await openAs('alice', undefined, { width: 360, height: 640 });
  await connected(alice);
  const isWide = (): Promise<boolean> =>
    alice.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  expect(await isWide()).toBe(false);
  await alice.getByRole('button', { name: /phone/ }).click();
  await alice.getByRole('heading', { name: 'phone', level: 2 }).waitFor();
  expect(await alice.getByRole('navigation').isVisible()).toBe(false);
  await say(alice, 'a-word-without-a-blank-'.repeat(30));
  await say(alice, 'short');
  await expect.poll(() => savedCount(alice)).toBe(2);
  expect(await isWide()).toBe(false);
  const box = alice.getByRole('textbox', { name: 'Message #phone' });
  const place = await box.boundingBox();
  expect(place && place.y + place.height).toBeLessThanOrEqual(640);
  await alice.getByRole('button', { name: 'Back to the channels' }).click();
  expect(await alice.getByRole('navigation').isVisible()).toBe(true);
  expect(await box.isVisible()).toBe(false);
}, 60_000);

it('no page wrote an error to its console', () => {
  expect(browser.faults).toEqual([]);
});
