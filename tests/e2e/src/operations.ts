/** What operators and disasters do to a running system. Everything by the stack's handles, nothing by name of a process. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { World } from './world.ts';

/** Apps in the order in which they are stopped; they start in the reverse order. */
const apps = ['gateway-1', 'gateway-2', 'api-1', 'projector-1', 'writer-1'] as const;

/** Stops every app and both servers, then starts them all again. `whileAppsAreDown` runs with only the servers up. */
export const restartAll = async (world: World, whileAppsAreDown: () => Promise<void>): Promise<void> => {
  const { stack } = world;
  for (const name of [...apps, 'postgres', 'nats']) await stack.stop(name);
  for (const name of ['nats', 'postgres']) await stack.start(name);
  await whileAppsAreDown();
  for (const name of [...apps].reverse()) await stack.start(name);
  for (const name of apps) await stack.ready(name, 30_000);
};

const run = promisify(execFile);

/** With owners and modes: as root, PostgreSQL runs as another user (and `fs.cp` keeps no owner). */
const copy = async (from: string, to: string): Promise<void> => {
  await run('cp', ['-a', from, to]);
};

export type DatabaseBackup = { readonly dataDir: string; [Symbol.asyncDispose](): Promise<void> };

/** A cold copy of the database server's data; the apps go on and meet a database that was away for a moment. */
export const backupDatabase = async (world: World): Promise<DatabaseBackup> => {
  const { stack } = world;
  const base = await mkdtemp(join(tmpdir(), 'chat-e2e-backup-'));
  const dataDir = join(base, 'data');
  await stack.stop('postgres');
  await copy(stack.postgres.dataDir, dataDir);
  await stack.start('postgres');
  return { dataDir, [Symbol.asyncDispose]: () => rm(base, { recursive: true, force: true }) };
};

/**
 * Puts the copy in the place of the database's data, as a restore to an earlier point in time does. The apps are up
 * all the while, unless something is to happen to the database before they see it.
 */
export const restoreDatabase = async (
  world: World,
  backup: DatabaseBackup,
  whileAppsAreDown?: () => Promise<void>,
): Promise<void> => {
  const { stack } = world;
  const down = whileAppsAreDown ? (['projector-1', 'writer-1'] as const) : [];
  for (const name of down) await stack.stop(name);
  await stack.stop('postgres');
  await rm(stack.postgres.dataDir, { recursive: true });
  await copy(backup.dataDir, stack.postgres.dataDir);
  await stack.start('postgres');
  await whileAppsAreDown?.();
  for (const name of [...down].reverse()) await stack.start(name);
};
