/**
 * One dedicated PostgreSQL connection that comes back by itself.
 *
 * States: connecting → connected(generation n) → connecting → … → stopped. The generation grows with every new
 * connection: whoever checked something on generation n checks again on n + 1, since that may be another
 * server, or an older one.
 *
 * Its breaker refuses statements at once while the server is in trouble. The trial is not a matter of time here: the
 * connecting goes on with its own backoff, and a new connection is what lets statements through again.
 */

import pg from 'pg';
import { StoppedFault, UnavailableFault, reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { isServerTrouble } from '@chat/platform/postgres/sqlstate';
import { backoffMs, pause } from '@chat/platform/resilience/backoff';
import { type BreakerOptions, createBreaker } from '@chat/platform/resilience/breaker';

export const RECONNECT_BASE_MS = 100;
export const RECONNECT_MAX_MS = 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Design R6.2: 10 s for writes, by the server; the client gives up a little later, with the connection. */
const STATEMENT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 11_000;

export type Statement = {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly (string | number | null | readonly (string | number)[])[];
};

export type PgSession = {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Rejects with UnavailableFault while not connected, else as `pg` does. */
  readonly query: <Row>(statement: Statement) => Promise<Row[]>;
  /** Number of the present connection, or undefined while there is none. */
  readonly generation: () => number | undefined;
  /** Gives the connection up: what it was doing is in doubt. */
  readonly drop: (reason: string) => void;
  /** Why there is no connection. */
  readonly reason: () => string | undefined;
};

export type PgSessionDeps = {
  readonly url: string;
  readonly name: string;
  readonly log: Logger;
  /** Undefined: nothing is counted. */
  readonly breaker?: Omit<BreakerOptions, 'log' | 'isFailure'> | undefined;
  readonly onConnected?: (generation: number) => void;
  readonly onLost?: (reason: string) => void;
  readonly queryTimeoutMs?: number;
};

export const createPgSession = (deps: PgSessionDeps): PgSession => {
  const { url, name, log, onConnected, onLost, queryTimeoutMs = QUERY_TIMEOUT_MS } = deps;
  const stopping = new AbortController();
  let client: pg.Client | undefined;
  let generation = 0;
  let reason: string | undefined = 'not connected yet';
  let attempt = 0;
  let connecting: Promise<void> | undefined;
  /** The query under way; never rejects. */
  let busy: Promise<void> | undefined;
  const free = (): void => {
    busy = undefined;
  };

  // A connection that answers but does nothing (a lock, a full disk) is not waited for either: a new one is the trial.
  const breaker =
    deps.breaker &&
    createBreaker({
      ...deps.breaker,
      isFailure: isServerTrouble,
      log,
      onOpen: () => client && lost(client, 'too many statements failed'),
    });

  const connectOnce = async (): Promise<pg.Client> => {
    const fresh = new pg.Client({
      connectionString: url,
      application_name: name,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: queryTimeoutMs,
      keepAlive: true,
    });
    fresh.on('error', (error: unknown) => lost(fresh, reasonOf(error)));
    fresh.on('end', () => lost(fresh, 'the connection ended'));
    await fresh.connect();
    return fresh;
  };

  const lost = (which: pg.Client, why: string): void => {
    if (client !== which) return;
    client = undefined;
    reason = why;
    log.warn({ session: name, reason: why }, 'PostgreSQL connection lost');
    onLost?.(why);
    // Never `await end()`: it waits for a server that may be frozen.
    (which as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    connect();
  };

  const connect = (): void => {
    if (connecting || stopping.signal.aborted) return;
    connecting = connectLoop().finally(() => {
      connecting = undefined;
      if (!client) connect();
    });
  };

  const connectLoop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const fresh = await connectOnce();
        if (stopping.signal.aborted) return void fresh.end();
        client = fresh;
        generation += 1;
        attempt = 0;
        reason = undefined;
        breaker?.allowTrials();
        log.info({ session: name, generation }, 'PostgreSQL connected');
        onConnected?.(generation);
        return;
      } catch (error) {
        reason = reasonOf(error);
        if (attempt === 0) log.warn({ session: name, reason }, 'PostgreSQL does not answer; trying again');
        await pause(
          backoffMs({ attempt, baseMs: RECONNECT_BASE_MS, maxMs: RECONNECT_MAX_MS }),
          stopping.signal,
        );
        attempt += 1;
      }
    }
  };

  return {
    start: async () => connect(),
    stop: async () => {
      stopping.abort();
      const last = client;
      client = undefined;
      reason = 'stopped';
      await connecting;
      await last?.end();
    },
    query: async <Row>(statement: Statement): Promise<Row[]> => {
      // One at a time, in the order of the calls: a connection has one conversation.
      while (busy) await busy;
      if (stopping.signal.aborted) throw new StoppedFault(`PostgreSQL session ${name}`);
      const ask = async () => {
        const used = client;
        if (!used) throw new UnavailableFault(`PostgreSQL: ${reason ?? 'not connected'}`);
        try {
          return await used.query<Row & pg.QueryResultRow>(statement as pg.QueryConfig);
        } catch (error) {
          // Not even the server's own timeout came back: what is asked next on this connection would wait behind it.
          if (isReadTimeout(error)) lost(used, reasonOf(error));
          throw error;
        }
      };
      // One at a time, so that a breaker that is half-open refuses none.
      const running = breaker ? breaker.run(ask) : ask();
      busy = running.then(free, free);
      return (await running).rows;
    },
    generation: () => (client ? generation : undefined),
    drop: (why) => {
      if (client) lost(client, why);
    },
    reason: () => reason,
  };
};

const isReadTimeout = (error: unknown): boolean =>
  error instanceof Error && error.message === 'Query read timeout';
