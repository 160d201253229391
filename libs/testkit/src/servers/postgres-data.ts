/** Makes the data folder of an embedded PostgreSQL: a folder its user can reach, initdb, and a stored password. */

import { spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { chmod, chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { type PostgresBinaries, type RunAs, rootStateDir } from './postgres-binaries.ts';
import { spawnChild } from './child-process.ts';
import { ServerFault } from './server-fault.ts';

export type PostgresData = { readonly dataDir: string; readonly password: string };

const INITDB_TIMEOUT_MS = 120_000;

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const canReach = (folder: string, runAs: RunAs): boolean =>
  spawnSync('test', ['-x', folder], { stdio: 'ignore', cwd: '/', ...runAs }).status === 0;

/** Folders that `mkdtemp` made for root alone: others may pass them, not list them. */
const openTemporary = async (folder: string): Promise<void> => {
  const root = tmpdir();
  for (let at = folder; at.startsWith(`${root}/`); at = dirname(at))
    await chmod(at, (await stat(at)).mode | 0o011);
};

/**
 * Where the data of `wanted` really is. Under a folder the server's user cannot pass (/root), root's state folder
 * is used instead, under a name that only this path has.
 */
export const postgresDataDir = async (wanted: string, runAs: RunAs | undefined): Promise<string> => {
  const asked = resolve(wanted);
  await mkdir(dirname(asked), { recursive: true });
  if (!runAs || canReach(dirname(asked), runAs)) return asked;
  await openTemporary(dirname(asked));
  if (canReach(dirname(asked), runAs)) return asked;
  const name = createHash('sha256').update(asked).digest('hex').slice(0, 16);
  const moved = join(rootStateDir, `data-${name}`, basename(asked));
  await mkdir(dirname(moved), { recursive: true, mode: 0o755 });
  return moved;
};

const initialise = async (binaries: PostgresBinaries, dataDir: string, password: string): Promise<void> => {
  // Made beside and renamed: a folder that exists is a whole one, whenever this process was killed.
  const fresh = `${dataDir}.new-${randomUUID().slice(0, 8)}`;
  const passwordFile = `${fresh}.pw`;
  await mkdir(fresh, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (binaries.runAs) {
    for (const path of [fresh, passwordFile]) await chown(path, binaries.runAs.uid, binaries.runAs.gid);
  }
  try {
    const child = await spawnChild({
      command: binaries.initdb,
      // Collation C: text compares by bytes everywhere, and no glibc update can break an index.
      args: [
        '-D',
        fresh,
        '-U',
        'postgres',
        '-E',
        'UTF8',
        '--locale=C',
        '-A',
        'scram-sha-256',
        `--pwfile=${passwordFile}`,
        '--no-sync',
      ],
      cwd: '/',
      env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
      ...binaries.runAs,
    });
    const timer = setTimeout(() => child.signal('SIGKILL'), INITDB_TIMEOUT_MS);
    const { code } = await child.exited;
    clearTimeout(timer);
    if (code !== 0) {
      const text = child.tail().join(' | ');
      if (/no space left/i.test(text))
        throw new ServerFault('NO_SPACE', 'No disk space left to make the PostgreSQL data.');
      throw new ServerFault('EXITED', `initdb failed (${code}): ${child.tail().slice(-4).join(' | ')}`);
    }
    await rename(fresh, dataDir);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(fresh, { recursive: true, force: true });
  }
};

/** Answers the folder and the superuser's password; makes both when the folder is not there. */
export const preparePostgresData = async (
  binaries: PostgresBinaries,
  wanted: string,
): Promise<PostgresData> => {
  const dataDir = await postgresDataDir(wanted, binaries.runAs);
  const passwordFile = `${dataDir}.password`;
  if (await exists(join(dataDir, 'PG_VERSION'))) {
    const password = await readFile(passwordFile, 'utf8').catch(() => undefined);
    if (password === undefined)
      throw new ServerFault(
        'EXITED',
        `The data in ${dataDir} has no password file beside it: start with --reset.`,
      );
    return { dataDir, password };
  }
  const password = randomBytes(18).toString('hex');
  await rm(dataDir, { recursive: true, force: true });
  // The password is stored first: data without one would be of no use.
  await writeFile(passwordFile, password, { mode: 0o600 });
  await chmod(passwordFile, 0o600);
  await initialise(binaries, dataDir, password);
  return { dataDir, password };
};
