/** Builds the apps and the page when a source has changed since the last build. */

import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { spawnChild } from '@chat/testkit/servers/child-process';
import { Hint } from './hint.ts';
import { readJson, writeJson } from './local-state.ts';

/** With the installed packages, not with the data: a build is the checkout's. */
const stampFile = join(repositoryRoot, 'node_modules/.cache/realtimechat/build.json');
const builtApps = ['writer', 'gateway', 'projector', 'api'] as const;
const sourcePatterns = [
  'package-lock.json',
  'tsconfig.base.json',
  '{apps,libs}/*/{package.json,tsconfig.json,src/**/*.ts}',
  'apps/web/{*,{src,public}/**/*}',
];
const outputs = [...builtApps.map((app) => `apps/${app}/dist/main.js`), 'apps/web/dist/index.html'];

/** Changes when a source file is added, removed or written. */
const fingerprint = (): string => {
  const hash = createHash('sha256');
  for (const file of globSync(sourcePatterns, { cwd: repositoryRoot }).toSorted()) {
    const stat = statSync(join(repositoryRoot, file));
    if (stat.isFile()) hash.update(`${file}\0${stat.size}\0${stat.mtimeMs}\n`);
  }
  return hash.digest('hex');
};

const run = async (args: readonly string[], tell: (note: string) => void): Promise<void> => {
  const child = await spawnChild({
    command: process.execPath,
    args,
    cwd: repositoryRoot,
    env: { ...process.env, FORCE_COLOR: '0' },
    onLine: tell,
    deathSignal: 'KILL',
  });
  const { code } = await child.exited;
  if (code !== 0) throw new Hint(`The build failed:\n${child.tail().slice(0, 20).join('\n')}`);
};

export const isBuildFresh = (): boolean =>
  readJson<{ fingerprint: string }>(stampFile)?.fingerprint === fingerprint() &&
  outputs.every((file) => existsSync(join(repositoryRoot, file)));

export const build = async (tell: (note: string) => void): Promise<void> => {
  const before = fingerprint();
  tell('the apps (tsc)');
  await run(
    ['node_modules/typescript/bin/tsc', '-b', '--pretty', 'false', ...builtApps.map((app) => `apps/${app}`)],
    tell,
  );
  tell('the page (vite)');
  await run(['node_modules/vite/bin/vite.js', 'build', 'apps/web', '--logLevel', 'warn'], tell);
  // Taken before: a source that changed meanwhile is built the next time.
  mkdirSync(dirname(stampFile), { recursive: true });
  writeJson(stampFile, { fingerprint: before });
};
