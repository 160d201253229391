/** A copy of a running PostgreSQL's data for a standby (a base backup by hand: pg_basebackup is not in the npm package). */

import { spawn } from 'node:child_process';
import { chmod, chown, copyFile, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

/** What a backup must not have: the log comes by streaming, and the pid file is the running server's. */
const excluded = ['./pg_wal/*', './postmaster.*', './pg_replslot/*', './backup_label', './standby.signal'];

const run = (command: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn('bash', ['-o', 'pipefail', '-c', command], { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-1_000)));
    child.once('error', reject);
    child.once('exit', (code) => {
      // 1: a file changed or vanished while it was read, which the replay of the log makes good.
      if (code === 0 || code === 1) resolve();
      else reject(new Error(`copying the PostgreSQL data failed (${code}): ${text}`));
    });
  });

const quote = (path: string): string => `'${path.replaceAll("'", `'\\''`)}'`;

/** `options` for postgresql.auto.conf, in its syntax. */
export type StandbyCopy = {
  readonly fromUrl: string;
  readonly fromDir: string;
  readonly toDir: string;
  /** Where the standby reaches the primary. */
  readonly primaryPort: number;
  readonly applicationName: string;
};

/** Leaves a folder that a server started on it takes as a standby of `fromUrl`'s. */
export const copyForStandby = async (copy: StandbyCopy): Promise<void> => {
  const { fromUrl, fromDir, toDir } = copy;
  const { uid, gid } = await stat(fromDir);
  await rm(toDir, { recursive: true, force: true });
  await mkdir(join(toDir, 'pg_wal', 'archive_status'), { recursive: true, mode: 0o700 });
  const client = new pg.Client({ connectionString: fromUrl, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(`SELECT pg_backup_start('standby', true)`);
    const excludes = excluded.map((pattern) => `--exclude=${quote(pattern)}`).join(' ');
    await run(
      `tar -C ${quote(fromDir)} ${excludes} --warning=no-file-changed --ignore-failed-read -cf - . | tar -C ${quote(toDir)} -xpf -`,
    );
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    await writeFile(join(toDir, 'backup_label'), rows[0]?.labelfile ?? '');
  } finally {
    await client.end();
  }
  const { password } = new URL(fromUrl);
  const conninfo = `host=127.0.0.1 port=${copy.primaryPort} user=postgres password=${password} application_name=${copy.applicationName}`;
  await writeFile(join(toDir, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`, { mode: 0o600 });
  await writeFile(join(toDir, 'standby.signal'), '');
  for (const path of ['.', 'pg_wal', 'pg_wal/archive_status', 'backup_label', 'postgresql.auto.conf'])
    await chown(join(toDir, path), uid, gid);
  await chown(join(toDir, 'standby.signal'), uid, gid);
  await chmod(toDir, 0o700);
  await copyFile(`${fromDir}.password`, `${toDir}.password`);
};
