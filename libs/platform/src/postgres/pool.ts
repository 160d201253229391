import pg from 'pg';
import { reasonOf } from '../faults.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { publishPool } from './pool-metrics.ts';

/** Acceptance R6.3. */
export const POOL_MAX_COUNT = 50;
/** Acceptance R6.2. */
export const READ_TIMEOUT_MS = 5_000;
export const WRITE_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** The server gives up at the statement timeout; the client waits a little longer before it calls the connection dead. */
const CLIENT_GRACE_MS = 1_000;

export type PoolOptions = {
  readonly url: string;
  readonly max: number;
  /** Seen by operators as `application_name`. */
  readonly name: string;
  /** READ_TIMEOUT_MS or WRITE_TIMEOUT_MS. */
  readonly statementTimeoutMs: number;
  readonly log: Logger;
  /** Where the pool is shown, under the first word of its name. */
  readonly metrics?: Metrics | undefined;
  /** How long a caller waits for a connection (or a new one to be made). */
  readonly connectionTimeoutMs?: number;
};

/**
 * A pool of at most `max` connections. A query past the statement timeout fails (57014 from the server, or "Query
 * read timeout" when not even that comes back, e.g. because the server is paused). Waiting for a connection is
 * bounded by `connectionTimeoutMs`. An idle connection that breaks is logged and replaced on the next use.
 */
export const createPool = (options: PoolOptions): pg.Pool => {
  const { url, max, name, statementTimeoutMs, log } = options;
  if (!Number.isInteger(max) || max < 1 || max > POOL_MAX_COUNT) {
    throw new RangeError(`a pool takes 1 to ${POOL_MAX_COUNT} connections, not ${max}`);
  }
  const pool = new pg.Pool({
    connectionString: url,
    max,
    application_name: name,
    connectionTimeoutMillis: options.connectionTimeoutMs ?? CONNECT_TIMEOUT_MS,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + CLIENT_GRACE_MS,
    idle_in_transaction_session_timeout: statementTimeoutMs + CLIENT_GRACE_MS,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
  });
  // Without this handler a broken idle connection would end the process.
  pool.on('error', (error) =>
    log.warn({ pool: name, reason: reasonOf(error) }, 'idle database connection lost'),
  );
  // A checked-out client emits too; its query is rejected anyway, the event must only not be unhandled.
  pool.on('connect', (client) => client.on('error', () => undefined));
  // The rest of the name may be an instance: no label.
  if (options.metrics) publishPool(options.metrics, name.split(' ', 1)[0] ?? name, pool, max);
  return pool;
};

export type PoolState = {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
};

/** For metrics and readiness. */
export const poolState = (pool: pg.Pool): PoolState => ({
  totalCount: pool.totalCount,
  idleCount: pool.idleCount,
  waitingCount: pool.waitingCount,
});
