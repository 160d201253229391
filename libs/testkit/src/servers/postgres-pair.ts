/**
 * PostgreSQL with a streaming standby, behind one address that a promotion re-points (in production a virtual IP,
 * Patroni's or a pooler's: node's `pg` knows no `target_session_attrs`).
 *
 * States: paired → (promote) alone → (pair) paired. The old primary is fenced first: killed, before its successor
 * takes a write, and never started again; its data is removed when a new standby is made.
 *
 * `primary` is the server of the moment, as a handle for whoever supervises, kills or pauses it.
 */

import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { type TcpLink, startTcpLink } from '../network/tcp-link.ts';
import { delay } from './ports.ts';
import { copyForStandby } from './postgres-copy.ts';
import {
  type PostgresServer,
  type PostgresServerOptions,
  createDatabase,
  dropDatabase,
  startPostgres,
} from './postgres-server.ts';

export type Replication = 'sync' | 'async';

export type Promotion = {
  readonly oldPid: number;
  readonly oldTimeline: string;
  readonly newTimeline: string;
  /** Log of the old primary that the standby had not received. */
  readonly lostWalBytes: number;
};

export type PostgresPair = {
  readonly replication: Replication;
  /** Behind the address: its url and port outlive promotions. */
  readonly primary: PostgresServer;
  /** Between standby and primary: black-holed, the standby falls behind. */
  readonly replicationLink: TcpLink;
  /** Past the address, of the server that is primary now. */
  readonly primaryUrl: () => string;
  readonly isPaired: () => boolean;
  /** Kills the primary and makes the standby the primary. */
  readonly promote: () => Promise<Promotion>;
  /** Makes a standby of the primary's data and waits until it streams. */
  readonly pair: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

const STANDBY_NAME = 'standby';
const TIMEOUT_MS = 30_000;
const POLL_MS = 30;
/** Log that a standby in the making may still ask for. */
const replicationSettings = {
  wal_level: 'replica',
  max_wal_senders: '5',
  wal_keep_size: '256MB',
  hot_standby: 'on',
  wal_receiver_status_interval: '1s',
  wal_retrieve_retry_interval: '200ms',
} as const;

const ask = async <R extends pg.QueryResultRow>(url: string, sql: string): Promise<R | undefined> => {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    query_timeout: 70_000,
  });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<R>(sql)).rows[0];
  } finally {
    await client.end();
  }
};

const timelineOf = async (url: string): Promise<string> =>
  (await ask<{ timeline: string }>(url, 'SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline'))
    ?.timeline ?? '';

const until = async (what: string, isSo: () => Promise<boolean>): Promise<void> => {
  const deadline = performance.now() + TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (await isSo().catch(() => false)) return;
    await delay(POLL_MS);
  }
  throw new Error(`${what} not within ${TIMEOUT_MS} ms`);
};

/** The server of the moment behind the address. */
const handleOf = (current: () => PostgresServer, address: TcpLink): PostgresServer => {
  const url = (): string => {
    const through = new URL(current().url);
    through.port = String(address.port);
    return through.href;
  };
  return {
    get url() {
      return url();
    },
    port: address.port,
    get pid() {
      return current().pid;
    },
    get dataDir() {
      return current().dataDir;
    },
    start: () => current().start(),
    stop: () => current().stop(),
    kill: () => current().kill(),
    pause: () => current().pause(),
    resume: () => current().resume(),
    restart: () => current().restart(),
    exited: async () => {
      // A supervisor that waits must not take the end of the old primary for that of the new one.
      for (let seen = current(); ; seen = current()) {
        await seen.exited();
        if (seen === current()) return;
      }
    },
    isRunning: () => current().isRunning(),
    tail: () => current().tail(),
    createDatabase: (name) => createDatabase(url(), name ?? `db_${process.pid}_${Date.now()}`),
    dropDatabase: (name) => dropDatabase(url(), name),
    [Symbol.asyncDispose]: () => current().stop(),
  };
};

/** Starts both. Throws ServerFault. */
export const startPostgresPair = async (
  options: PostgresServerOptions & { readonly replication: Replication },
): Promise<PostgresPair> => {
  const { replication, ...server } = options;
  const { port: _, ...rest } = server;
  const settings = { ...server.settings, ...replicationSettings };
  let primary = await startPostgres({ ...server, settings });
  let standby: PostgresServer | undefined;
  let generation = 0;
  const base = join(dirname(primary.dataDir), 'standby');
  const address = await startTcpLink({ name: 'clients→postgres', targetPort: primary.port });
  const replicationLink = await startTcpLink({ name: 'standby→primary', targetPort: primary.port });

  const removeData = async (dataDir: string): Promise<void> => {
    await rm(dataDir, { recursive: true, force: true });
    await rm(`${dataDir}.password`, { force: true });
  };
  const setSync = async (names: string): Promise<void> => {
    await ask(primary.url, `ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
    await ask(primary.url, 'SELECT pg_reload_conf()');
  };
  const pair = async (): Promise<void> => {
    if (standby) return;
    generation += 1;
    const dataDir = `${base}-${generation}`;
    replicationLink.retarget(primary.port);
    replicationLink.set({ kind: 'pass' });
    await copyForStandby({
      fromUrl: primary.url,
      fromDir: primary.dataDir,
      toDir: dataDir,
      primaryPort: replicationLink.port,
      applicationName: STANDBY_NAME,
    });
    standby = await startPostgres({ ...rest, dataDir, settings });
    if (replication === 'sync') await setSync(STANDBY_NAME);
    const wanted = replication === 'sync' ? 'sync' : 'async';
    await until('the standby streams', async () => {
      const row = await ask<{ state: string; sync_state: string }>(
        primary.url,
        `SELECT state, sync_state FROM pg_stat_replication WHERE application_name = '${STANDBY_NAME}'`,
      );
      return row?.state === 'streaming' && row.sync_state === wanted;
    });
  };
  const promote = async (): Promise<Promotion> => {
    if (!standby) throw new Error('there is no standby to promote');
    const [old, next] = [primary, standby];
    const oldPid = old.pid;
    const oldTimeline = await timelineOf(old.url);
    const flushed = await ask<{ lsn: string }>(old.url, 'SELECT pg_current_wal_flush_lsn() AS lsn');
    // From here on the address is nobody's, and a supervisor watches the new one.
    address.set({ kind: 'refuse' });
    primary = next;
    standby = undefined;
    await old.kill();
    address.cut();
    // Cut first: what a black hole held back would arrive otherwise.
    replicationLink.cut();
    replicationLink.set({ kind: 'refuse' });
    const lost = await ask<{ bytes: string }>(
      next.url,
      `SELECT greatest(0, '${flushed?.lsn}'::pg_lsn - pg_last_wal_receive_lsn()) AS bytes`,
    );
    await ask(next.url, 'SELECT pg_promote(true, 60)');
    const newTimeline = await timelineOf(next.url);
    address.retarget(next.port);
    address.set({ kind: 'pass' });
    await removeData(old.dataDir);
    return { oldPid, oldTimeline, newTimeline, lostWalBytes: Number(lost?.bytes ?? 0) };
  };
  const stop = async (): Promise<void> => {
    await primary.stop();
    const dataDirs = [primary.dataDir, ...(standby ? [standby.dataDir] : [])];
    await standby?.stop();
    await address.stop();
    await replicationLink.stop();
    // The data of generation 0 is the caller's folder.
    for (const dataDir of dataDirs) if (dataDir.startsWith(`${base}-`)) await removeData(dataDir);
  };
  try {
    await pair();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    replication,
    primary: handleOf(() => primary, address),
    replicationLink,
    primaryUrl: () => primary.url,
    isPaired: () => standby !== undefined,
    promote,
    pair,
    stop,
  };
};
