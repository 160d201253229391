/** A PostgreSQL that is there and does not serve: somebody holds a lock. */

import pg from 'pg';
import type { Injection, Nemesis } from '../../nemesis.ts';

/** In turn; the end of the nemesis cuts the last one short. */
const HELD_MS = [5_000, 15_000, 40_000] as const;
const BETWEEN_MS = 2_000;

const CONNECT_TIMEOUT_MS = 5_000;

/** How the connections of a nemesis are told from those of the apps. */
export const CHAOS_NAME = 'chaos';

/** Throws when refused, and when the server says nothing: without a limit `pg` waits for ever. */
export const connect = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client({
    connectionString: url,
    application_name: CHAOS_NAME,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // It may be cut; what it held is free then.
  client.on('error', () => undefined);
  await client.connect();
  return client;
};

const WAITING_SQL = `SELECT count(*)::int AS count FROM pg_locks WHERE relation = 'event_log'::regclass AND NOT granted`;

const holdLock = async ({ stack, fault }: Injection, lastsMs: number): Promise<void> => {
  let client: pg.Client | undefined;
  await fault({
    target: 'postgres',
    action: `lock of event_log for ${lastsMs / 1_000} s`,
    lastsMs,
    begin: async () => {
      client = await connect(stack.databaseUrl);
      await client.query('BEGIN; LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE');
      return ['the lock is held'];
    },
    heal: async () => {
      const { rows } = (await client?.query<{ count: number }>(WAITING_SQL)) ?? { rows: [] };
      await client?.end();
      return [`${rows[0]?.count ?? 0} statements waited for it`];
    },
  });
};

const busy = (name: string, about: string, runbook: string, once: typeof holdLock): Nemesis => ({
  name,
  about,
  needs: {},
  runbook,
  run: async (injection) => {
    const { signal, pause } = injection;
    for (let i = 0; !signal.aborted; i += 1) {
      await once(injection, HELD_MS[i % HELD_MS.length] ?? 5_000);
      await pause(BETWEEN_MS);
    }
  },
});

export const postgresBusyNemeses: readonly Nemesis[] = [
  busy(
    'postgres-lock',
    'Somebody holds a lock on event_log for 5, 15, 40 s: no commit, no statement that reads it.',
    'postgres-slow',
    holdLock,
  ),
];
