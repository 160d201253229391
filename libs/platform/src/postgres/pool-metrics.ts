import type pg from 'pg';
import type { Metrics } from '../metrics.ts';

type Watched = { readonly pool: pg.Pool; readonly max: number };

/** The pools of each registry, by name; a process may have several. */
const watched = new WeakMap<Metrics, Map<string, Watched>>();

const register = (metrics: Metrics): Map<string, Watched> => {
  const pools = new Map<string, Watched>();
  metrics.gauge({
    name: 'chat_postgres_pool_connections',
    help: 'Connections in use, idle ones, and callers that wait for one.',
    labelNames: ['pool', 'state'],
    collect() {
      for (const [name, { pool }] of pools) {
        this.set({ pool: name, state: 'active' }, pool.totalCount - pool.idleCount);
        this.set({ pool: name, state: 'idle' }, pool.idleCount);
        this.set({ pool: name, state: 'waiting' }, pool.waitingCount);
      }
    },
  });
  metrics.gauge({
    name: 'chat_postgres_pool_max_connections',
    help: 'Bound of the pool.',
    labelNames: ['pool'],
    collect() {
      for (const [name, { max }] of pools) this.set({ pool: name }, max);
    },
  });
  return pools;
};

/** Shows the pool in `chat_postgres_pool_*`; `name` is a fixed word, never an instance. */
export const publishPool = (metrics: Metrics, name: string, pool: pg.Pool, max: number): void => {
  let pools = watched.get(metrics);
  if (pools === undefined) watched.set(metrics, (pools = register(metrics)));
  pools.set(name, { pool, max });
};
