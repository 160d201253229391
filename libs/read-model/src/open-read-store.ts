/**
 * The read store that a process chose, behind a guard of its own: so many questions at once, a breaker, and a probe that
 * finds out when the store answers again. Connects with the first question.
 */

import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import { migrate } from '@chat/platform/postgres/migrate';
import { createPool } from '@chat/platform/postgres/pool';
import { isServerTrouble } from '@chat/platform/postgres/sqlstate';
import type { BreakerState } from '@chat/platform/resilience/breaker';
import { createGuard } from '@chat/platform/resilience/guard';
import { openMongoStore } from './mongo/store.ts';
import type { ReadModel } from './port.ts';
import { readModelMigrations } from './postgres/migrations.ts';
import { createPostgresReadModel } from './postgres/postgres-read-model.ts';
import { READ_SCHEMA } from './postgres/schema.ts';

export type ReadStoreOptions = {
  readonly kind: 'postgres' | 'mongodb';
  readonly url: string;
  /** Connections; as many questions run at once. */
  readonly maxCount: number;
  /** Seen by operators of the database; its breaker is `<name>-<kind>`. */
  readonly name: string;
  /** READ_TIMEOUT_MS or WRITE_TIMEOUT_MS. */
  readonly timeoutMs: number;
  readonly metrics: Metrics;
  readonly log: Logger;
};

export type ReadStore = {
  /** Throws UnavailableFault while the breaker is open, OverloadedFault when too many wait. */
  readonly readModel: ReadModel;
  /** Tables, collections and indexes that are missing. Throws on trouble of the store; may be run again. */
  prepare(): Promise<void>;
  breakerState(): BreakerState;
  close(): Promise<void>;
};

/** Beyond these a question is refused at once: they would wait longer than anybody waits for them. */
const WAITING_PER_CONNECTION = 20;

export const openReadStore = (options: ReadStoreOptions): ReadStore => {
  const { kind, name, maxCount, log, metrics } = options;
  const store = kind === 'mongodb' ? openMongoStore(options) : openPostgres(options);
  const guard = createGuard({
    name: `${name}-${kind}`,
    isFailure: isServerTrouble,
    activeMaxCount: maxCount,
    waitingMaxCount: maxCount * WAITING_PER_CONNECTION,
    probe: () => store.readModel.checkpoint(0),
    log,
    metrics,
  });
  return {
    readModel: guarded(store.readModel, guard.run),
    prepare: () => store.prepare(),
    breakerState: guard.state,
    close: async () => {
      await guard.stop();
      await store.close();
    },
  };
};

const openPostgres = (options: ReadStoreOptions): Omit<ReadStore, 'breakerState'> => {
  const { url, maxCount: max, name, timeoutMs: statementTimeoutMs, metrics, log } = options;
  const pool = createPool({ url, max, name, statementTimeoutMs, metrics, log });
  return {
    readModel: createPostgresReadModel({ pool }),
    prepare: async () => {
      await migrate({ url, migrations: readModelMigrations(), schema: READ_SCHEMA, log });
    },
    close: () => pool.end(),
  };
};

const guarded = (model: ReadModel, run: <T>(fn: () => Promise<T>) => Promise<T>): ReadModel => ({
  checkpoint: (partition) => run(() => model.checkpoint(partition)),
  applyBatch: (batch) => run(() => model.applyBatch(batch)),
  adoptEpoch: (partition, from, epoch) => run(() => model.adoptEpoch(partition, from, epoch)),
  teamsOf: (userId) => run(() => model.teamsOf(userId)),
  channels: (teamId, userId) => run(() => model.channels(teamId, userId)),
  messages: (teamId, channelId, userId, page) => run(() => model.messages(teamId, channelId, userId, page)),
  members: (teamId, channelId, userId) => run(() => model.members(teamId, channelId, userId)),
  membership: (teamId, userId) => run(() => model.membership(teamId, userId)),
  changedMembers: (partition, afterSeq, limitCount) =>
    run(() => model.changedMembers(partition, afterSeq, limitCount)),
});
