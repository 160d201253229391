/** What the tests need besides npm packages: a Chromium for the page's test. */

import { accessSync, constants } from 'node:fs';
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const macPaths = ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** CHROME_PATH, or a browser on the path. */
export const findChromium = (env = process.env) => {
  if (env.CHROME_PATH) return isExecutable(env.CHROME_PATH) ? env.CHROME_PATH : undefined;
  const files = (env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)));
  return [...files, ...macPaths].find(isExecutable);
};

const run = (command, args, tell) =>
  new Promise((resolve) => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => tell(String(chunk).trim().split('\n').at(-1) ?? ''));
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });

export const chromiumHint =
  'no Chromium: install the package chromium (Debian) or Chrome, or set CHROME_PATH; the test of the page fails without it.';

/** Finds a browser, or installs Debian's as root. Answers its file or undefined. */
export const ensureChromium = async ({ step }) => {
  const found = findChromium();
  if (found || process.env.CHROME_PATH || process.getuid?.() !== 0) return found;
  await step('install chromium (apt-get)', async (tell) => {
    const install = ['install', '-y', '--no-install-recommends', 'chromium'];
    if (await run('apt-get', install, tell)) return;
    await run('apt-get', ['update'], tell);
    await run('apt-get', install, tell);
  });
  return findChromium();
};
