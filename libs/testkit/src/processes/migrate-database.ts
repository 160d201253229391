/** Applies the write side's migrations as a deployment does: a process of its own that must end with 0. */

import { type AppCode, spawnApp } from './app-process.ts';

export type MigrateOptions = {
  readonly databaseUrl: string;
  readonly partitionCount: number;
  readonly from: AppCode;
  readonly logLevel?: string;
  readonly nodeArgs?: readonly string[];
};

const MIGRATE_TIMEOUT_MS = 60_000;

export const migrateDatabase = async (options: MigrateOptions): Promise<void> => {
  const env = {
    DATABASE_URL: options.databaseUrl,
    PARTITIONS: String(options.partitionCount),
    LOG_LEVEL: options.logLevel ?? 'info',
  };
  const migration = await spawnApp({
    app: 'writer',
    entry: 'migrate',
    env,
    from: options.from,
    ...(options.nodeArgs ? { nodeArgs: options.nodeArgs } : {}),
  });
  const timer = setTimeout(() => migration.kill('SIGKILL'), MIGRATE_TIMEOUT_MS);
  const { code, signal } = await migration.exited;
  clearTimeout(timer);
  if (code !== 0)
    throw new Error(`the migrations failed (${code ?? signal}):\n${migration.tail().slice(-15).join('\n')}`);
};
