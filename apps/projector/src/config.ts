/** What the projector reads from its environment; every bound of it has its name here. */

import {
  type ConfigOf,
  type Env,
  bytes,
  commonOptions,
  durationMs,
  int,
  oneOf,
  optional,
  readConfig,
  secret,
  url,
} from '@chat/platform/config';
import { ConfigError } from '@chat/platform/faults';
import { VIEW_GRACE_MIN_MS } from '@chat/read-model/catalog/follow-live';

const postgresUrl = (doc: string) => url({ protocols: ['postgres', 'postgresql'], isSecret: true, doc });

const shape = {
  ...commonOptions,
  DATABASE_URL: postgresUrl('PostgreSQL of the write model: event_log fills what the stream no longer has'),
  STREAM_REPLICAS: int({
    default: 1,
    min: 1,
    max: 5,
    doc: 'replicas of the membership stream when it is made here; 3 in production',
  }),
  READ_STORE: oneOf(['postgres', 'mongodb'], { default: 'postgres', doc: 'kind of the read store' }),
  READ_DATABASE_URL: optional(postgresUrl('PostgreSQL of the read model; DATABASE_URL without it')),
  // Not a `url`: it may name several hosts.
  MONGODB_URL: optional(
    secret({ doc: 'MongoDB of the read model (replica set or sharded); for READ_STORE=mongodb' }),
  ),
  BATCH_MAX_COUNT: int({ default: 1_000, min: 1, max: 10_000, doc: 'events applied in one transaction' }),
  BATCH_MAX_BYTES: bytes({ default: 4 * 2 ** 20, doc: 'payload bytes applied in one transaction' }),
  BATCH_INTERVAL_MS: durationMs({
    default: 100,
    doc: 'under load a partition is applied at most this often (unless a batch is full)',
  }),
  BUFFER_MAX_COUNT: int({ default: 200_000, min: 1_000, doc: 'events read ahead, all partitions together' }),
  BUFFER_MAX_BYTES: bytes({ default: 128 * 2 ** 20, doc: 'their bytes; when full the feed is paused' }),
  IDLE_CHECK_MS: durationMs({
    default: 2_000,
    doc: 'an idle partition looks this often whether store and stream are where it left them',
  }),
  CATALOG_INTERVAL_MS: durationMs({
    default: 500,
    doc: 'how often the catalogue of views is looked at: a rebuild begins, a version is dropped',
  }),
  VIEW_GRACE_MS: durationMs({
    default: 60_000,
    doc: 'how long a version that was replaced is kept: whoever reads has gone over to the new one by then',
  }),
  DRIFT_INTERVAL_MS: durationMs({
    default: 6 * 3_600_000,
    doc: 'how often the partitions that are open here are compared with event_log',
  }),
  POSITION_INTERVAL_MS: durationMs({
    default: 100,
    doc: 'the membership position is published at most this often',
  }),
} as const;

export type ProjectorConfig = ConfigOf<typeof shape>;

/** Throws ConfigError naming every problem. */
export const readProjectorConfig = (env: Env): ProjectorConfig => {
  const config = readConfig(shape, env);
  if (config.READ_STORE === 'mongodb' && !/^mongodb(\+srv)?:\/\//.test(config.MONGODB_URL ?? ''))
    throw new ConfigError(['MONGODB_URL must be a URL that begins with mongodb:// or mongodb+srv://']);
  if (config.VIEW_GRACE_MS < VIEW_GRACE_MIN_MS)
    throw new ConfigError([`VIEW_GRACE_MS must be at least ${VIEW_GRACE_MIN_MS} ms`]);
  return config;
};

/** Kind and address of the read store. */
export const readStoreOf = (config: ProjectorConfig) => ({
  kind: config.READ_STORE,
  url:
    config.READ_STORE === 'mongodb'
      ? (config.MONGODB_URL ?? '')
      : (config.READ_DATABASE_URL ?? config.DATABASE_URL),
});
