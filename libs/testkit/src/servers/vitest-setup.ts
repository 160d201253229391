/**
 * Vitest global setup: one PostgreSQL for a whole run. Every project calls it, all in the main process; the
 * first starts the server, the last one that ends stops it. CHAT_TEST_POSTGRES_URL uses a given server instead.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    chatPostgresUrl: string;
  }
}

type Shared = { server: Promise<{ postgres: PostgresServer; folder: string }>; users: number };
/** On the global object: each project loads this module anew. */
const key = Symbol.for('chat.testkit.postgres');
const globals = globalThis as { [key]?: Shared };

const startShared = async (): Promise<{ postgres: PostgresServer; folder: string }> => {
  const folder = await mkdtemp(join(tmpdir(), 'chat-test-pg-'));
  const postgres = await startPostgres({ dataDir: join(folder, 'data'), fsync: false });
  return { postgres, folder };
};

export const setup = async (project: TestProject): Promise<(() => Promise<void>) | undefined> => {
  const given = process.env.CHAT_TEST_POSTGRES_URL;
  if (given) {
    project.provide('chatPostgresUrl', given);
    return undefined;
  }
  const shared = (globals[key] ??= { server: startShared(), users: 0 });
  shared.users += 1;
  const { postgres, folder } = await shared.server;
  project.provide('chatPostgresUrl', postgres.url);
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    delete globals[key];
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  };
};
