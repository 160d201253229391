/**
 * Finds or fetches a nats-server that is new enough. Order: the path, the cache, Debian's package of a newer
 * release (private apt folders, nothing of the system is changed), `go install`. Older servers are refused by
 * version: 2.9 silently ignores what the streams are configured with.
 */

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onPath, unpackDebian } from './debian-package.ts';
import { ServerFault } from './server-fault.ts';

const run = promisify(execFile);

/** Security fixes make 2.14 the floor. */
export const NATS_VERSION_MIN = [2, 14] as const;
const GO_VERSION = 'v2.15.2';
/** Debian's signature covers the package; this pins the one that was tried. A newer one is trusted by signature. */
const debianPackages = {
  suite: 'forky',
  names: ['nats-server'],
  sha256: {
    'nats-server_2.15.1-1_amd64.deb': '31ef4ceaa84e8248d449e508472e3770c17c3695cb5cb0ee96e03912724ea884',
  },
};
const FETCH_TIMEOUT_MS = 300_000;

export type Say = (line: string) => void;

export const cacheDir = (): string =>
  process.env.CHAT_CACHE_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'realtimechat');

/** `[2, 15, 1]` of `nats-server: v2.15.1`, or undefined when that is no nats-server. */
export const parseNatsVersion = (text: string): readonly number[] | undefined => {
  const match = /v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match ? match.slice(1).map(Number) : undefined;
};

export const isNatsNewEnough = (version: readonly number[]): boolean => {
  const [major = 0, minor = 0] = version;
  return major > NATS_VERSION_MIN[0] || (major === NATS_VERSION_MIN[0] && minor >= NATS_VERSION_MIN[1]);
};

const versionOf = async (file: string): Promise<readonly number[] | undefined> => {
  try {
    return parseNatsVersion((await run(file, ['--version'], { timeout: 10_000 })).stdout);
  } catch {
    return undefined;
  }
};

const fromDebian = async (work: string): Promise<string> =>
  join(await unpackDebian(work, debianPackages), 'usr/sbin/nats-server');

const fromGo = async (work: string): Promise<string> => {
  const env = { ...process.env, GOBIN: work };
  const target = `github.com/nats-io/nats-server/v2@${GO_VERSION}`;
  await run('go', ['install', target], { env, cwd: work, timeout: FETCH_TIMEOUT_MS });
  return join(work, 'nats-server');
};

const help =
  'Install nats-server 2.14 or newer (macOS: `brew install nats-server`; elsewhere: a release binary on the PATH), ' +
  'or set NATS_URL to a running server, for example from the container image `nats:2.15`.';

/** Answers the file of a nats-server ≥ 2.14. Throws ServerFault BINARY_NOT_FOUND with what was tried. */
export const findNatsServer = async (say: Say = () => {}): Promise<string> => {
  const tried: string[] = [];
  const installed = onPath('nats-server');
  if (installed) {
    const version = await versionOf(installed);
    if (version && isNatsNewEnough(version)) return installed;
    tried.push(`${installed} is ${version ? version.join('.') : 'no nats-server'}, too old`);
    say(`${installed} is version ${version?.join('.') ?? 'unknown'}: too old, another one is looked for`);
  }
  const folder = join(cacheDir(), 'nats-server');
  const cached = join(folder, 'nats-server');
  const cachedVersion = await versionOf(cached);
  if (cachedVersion && isNatsNewEnough(cachedVersion)) return cached;

  await mkdir(folder, { recursive: true });
  const ways = [
    { name: "Debian's package", fetch: fromDebian },
    { name: `go install …@${GO_VERSION}`, fetch: fromGo },
  ];
  for (const way of ways) {
    const work = await mkdtemp(join(tmpdir(), 'nats-fetch-'));
    try {
      say(`nats-server is fetched: ${way.name}`);
      const file = await way.fetch(work);
      const version = await versionOf(file);
      if (!version || !isNatsNewEnough(version)) throw new Error(`it is ${version?.join('.') ?? 'unusable'}`);
      // Two processes may fetch at once: each renames a whole file into place, the last one wins.
      const whole = join(folder, `.${randomUUID()}`);
      await copyFile(file, whole);
      await chmod(whole, 0o755);
      await rename(whole, cached);
      return cached;
    } catch (error) {
      tried.push(`${way.name}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  throw new ServerFault('BINARY_NOT_FOUND', `No nats-server ≥ 2.14 (${tried.join('; ')}). ${help}`);
};
