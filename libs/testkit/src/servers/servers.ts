/**
 * Real servers for tests. PostgreSQL is one per run (vitest-setup.ts) with a database per test; nats-server is
 * one per test file, because streams are named by partition and cannot be told apart within one.
 */

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject, onTestFailed, onTestFinished } from 'vitest';
import './vitest-setup.ts'; // types of `inject`
import { type NatsServer, type NatsServerOptions, startNats } from './nats-server.ts';
import { createDatabase, dropDatabase } from './postgres-server.ts';

/** The url of the run's PostgreSQL (database `postgres`, superuser). */
export const sharedPostgres = (): { readonly url: string } => ({ url: inject('chatPostgresUrl') });

export type TestDatabase = {
  readonly url: string;
  /** Fails when connections are left open on it. */
  readonly drop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};

/** An empty database. Who makes it drops it (`afterEach`), or uses `testDatabase` within a test. */
export const newDatabase = async (): Promise<TestDatabase> => {
  const { url: adminUrl } = sharedPostgres();
  const name = `t_${randomUUID().replaceAll('-', '').slice(0, 20)}`;
  const url = await createDatabase(adminUrl, name);
  let dropping: Promise<void> | undefined;
  const drop = (): Promise<void> => (dropping ??= dropDatabase(adminUrl, name));
  return { url, drop, [Symbol.asyncDispose]: drop };
};

/** The url of an empty database that is dropped when the calling test is over. Only within a test. */
export const testDatabase = async (): Promise<string> => {
  const database = await newDatabase();
  onTestFinished(database.drop);
  return database.url;
};

/** A nats-server of one's own on an empty store; its store is removed when it is disposed of. */
export const testNats = async (
  options: Partial<Omit<NatsServerOptions, 'dataDir'>> = {},
): Promise<NatsServer> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'chat-test-nats-'));
  const remove = (): Promise<void> => rm(dataDir, { recursive: true, force: true });
  const server = await startNats({ ...options, dataDir }).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  const dispose = async (): Promise<void> => {
    await server.stop();
    await remove();
  };
  // Getters (pid, url) must stay getters: no spread.
  return Object.create(server, { [Symbol.asyncDispose]: { value: dispose } }) as NatsServer;
};

/** Within a test: prints what a server or process wrote last, should the test fail. */
export const printTailIfFailed = (name: string, tail: () => readonly string[]): void => {
  onTestFailed(() => {
    process.stderr.write(`--- ${name}: last lines\n${tail().join('\n')}\n`);
  });
};
