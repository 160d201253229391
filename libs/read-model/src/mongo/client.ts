/** The connection to MongoDB, with every wait bounded. */

import { MongoClient } from 'mongodb';

const CONNECT_TIMEOUT_MS = 5_000;
/** The server gives up at `maxTimeMS`; the client waits a little longer before it calls the connection dead. */
const CLIENT_GRACE_MS = 1_000;

export type MongoClientOptions = {
  /** A replica set or a sharded cluster (transactions and snapshot reads need one), 6.0 or newer. */
  readonly url: string;
  readonly maxCount: number;
  /** Seen by operators in the server's log. */
  readonly name: string;
  /** How long one command may take. The driver repeats a read once, so a question may take twice that. */
  readonly timeoutMs: number;
};

/** Does not connect yet: see `connector`. Owned by the caller, who closes it. */
export const createMongoClient = ({ url, maxCount, name, timeoutMs }: MongoClientOptions): MongoClient =>
  new MongoClient(url, {
    maxPoolSize: maxCount,
    appName: name,
    // The driver's own `timeoutMS` has no effect (7.9).
    socketTimeoutMS: timeoutMs + CLIENT_GRACE_MS,
    waitQueueTimeoutMS: Math.min(CONNECT_TIMEOUT_MS, timeoutMs),
    serverSelectionTimeoutMS: Math.min(CONNECT_TIMEOUT_MS, timeoutMs),
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
  });

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
