/** The connection to MongoDB, with every wait bounded. */

import type { Metrics } from '@chat/platform/metrics';
import { POOL_MAX_COUNT } from '@chat/platform/postgres/pool';
import { MongoClient } from 'mongodb';
import { publishMongoPool } from './pool-metrics.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** The server gives up at `maxTimeMS`; the client waits a little longer before it calls the connection dead. */
const CLIENT_GRACE_MS = 1_000;
/** Those to a server that is primary no longer go, so that they and the new ones stay within the bound. */
const IDLE_MAX_MS = 30_000;

export type MongoClientOptions = {
  /** A replica set or a sharded cluster (transactions and snapshot reads need one), 6.0 or newer. */
  readonly url: string;
  readonly maxCount: number;
  /** Seen by operators in the server's log. */
  readonly name: string;
  /** How long one command may take. The driver repeats a read once, so a question may take twice that. */
  readonly timeoutMs: number;
  /** Where the pool is shown, under the first word of its name. */
  readonly metrics?: Metrics | undefined;
};

/** Does not connect yet: see `connector`. Owned by the caller, who closes it. */
export const createMongoClient = (options: MongoClientOptions): MongoClient => {
  const { url, maxCount, name, timeoutMs, metrics } = options;
  if (!Number.isInteger(maxCount) || maxCount < 1 || maxCount > POOL_MAX_COUNT) {
    throw new RangeError(`a pool takes 1 to ${POOL_MAX_COUNT} connections, not ${maxCount}`);
  }
  const client = new MongoClient(url, {
    maxPoolSize: maxCount,
    maxIdleTimeMS: IDLE_MAX_MS,
    appName: name,
    // The driver's own `timeoutMS` has no effect (7.9).
    socketTimeoutMS: timeoutMs + CLIENT_GRACE_MS,
    waitQueueTimeoutMS: Math.min(CONNECT_TIMEOUT_MS, timeoutMs),
    serverSelectionTimeoutMS: Math.min(CONNECT_TIMEOUT_MS, timeoutMs),
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
  });
  // The rest of the name may be an instance: no label.
  if (metrics) publishMongoPool(metrics, name.split(' ', 1)[0] ?? name, client, maxCount);
  return client;
};

/**
 * To be awaited before every operation. Left to itself the driver connects with the first operation, and when that
 * fails (the server was not up yet) every later one fails as well, for ever. This tries again until it worked once.
 */
export const connector = (client: MongoClient): (() => Promise<unknown>) => {
  let connecting: Promise<unknown> | undefined;
  return () =>
    (connecting ??= client.connect().catch((error: unknown) => {
      connecting = undefined;
      throw error;
    }));
};
