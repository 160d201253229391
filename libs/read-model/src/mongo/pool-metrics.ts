/** The connections of a MongoDB client in metrics, from what the driver tells of its pool. */

import type { Metrics } from '@chat/platform/metrics';
import type { MongoClient } from 'mongodb';

type Watched = {
  readonly max: number;
  totalCount: number;
  activeCount: number;
  waitingCount: number;
};

/** The pools of each registry, by name. */
const watched = new WeakMap<Metrics, Map<string, Watched>>();

const register = (metrics: Metrics): Map<string, Watched> => {
  const pools = new Map<string, Watched>();
  metrics.gauge({
    name: 'chat_mongodb_pool_connections',
    help: 'Connections in use, idle ones, and callers that wait for one; of all servers of the set together.',
    labelNames: ['pool', 'state'],
    collect() {
      for (const [pool, { totalCount, activeCount, waitingCount }] of pools) {
        this.set({ pool, state: 'active' }, activeCount);
        // A connection that is being made is counted before it is ready.
        this.set({ pool, state: 'idle' }, Math.max(0, totalCount - activeCount));
        this.set({ pool, state: 'waiting' }, waitingCount);
      }
    },
  });
  metrics.gauge({
    name: 'chat_mongodb_pool_max_connections',
    help: 'Bound of the pool to one server; all but a few connections are to the primary.',
    labelNames: ['pool'],
    collect() {
      for (const [pool, { max }] of pools) this.set({ pool }, max);
    },
  });
  return pools;
};

/** Declares the metrics, so that a process whose store is another one says that it has no such pool. */
export const mongoPools = (metrics: Metrics): Map<string, Watched> => {
  const known = watched.get(metrics);
  if (known) return known;
  const pools = register(metrics);
  watched.set(metrics, pools);
  return pools;
};

/** Shows the pool in `chat_mongodb_pool_*`; `name` is a fixed word, never an instance. Before the client connects. */
export const publishMongoPool = (metrics: Metrics, name: string, client: MongoClient, max: number): void => {
  const pool: Watched = { max, totalCount: 0, activeCount: 0, waitingCount: 0 };
  mongoPools(metrics).set(name, pool);
  client.on('connectionCreated', () => (pool.totalCount += 1));
  client.on('connectionClosed', () => (pool.totalCount -= 1));
  client.on('connectionCheckOutStarted', () => (pool.waitingCount += 1));
  client.on('connectionCheckOutFailed', () => (pool.waitingCount -= 1));
  client.on('connectionCheckedOut', () => {
    pool.waitingCount -= 1;
    pool.activeCount += 1;
  });
  client.on('connectionCheckedIn', () => (pool.activeCount -= 1));
};
