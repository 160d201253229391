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
  url,
} from '@chat/platform/config';

const postgresUrl = (doc: string) => url({ protocols: ['postgres', 'postgresql'], isSecret: true, doc });

const shape = {
  ...commonOptions,
  DATABASE_URL: postgresUrl('PostgreSQL of the write model: event_log fills what the stream no longer has'),
  READ_STORE: oneOf(['postgres'], { default: 'postgres', doc: 'kind of the read store' }),
  READ_DATABASE_URL: optional(postgresUrl('PostgreSQL of the read model; DATABASE_URL without it')),
  BATCH_MAX_COUNT: int({ default: 1_000, min: 1, max: 10_000, doc: 'events applied in one transaction' }),
  BATCH_MAX_BYTES: bytes({ default: 4 * 2 ** 20, doc: 'payload bytes applied in one transaction' }),
  BATCH_INTERVAL_MS: durationMs({
    default: 25,
    doc: 'under load a partition is applied at most this often (unless a batch is full)',
  }),
  BUFFER_MAX_COUNT: int({ default: 200_000, min: 1_000, doc: 'events read ahead, all partitions together' }),
  BUFFER_MAX_BYTES: bytes({ default: 128 * 2 ** 20, doc: 'their bytes; when full the feed is paused' }),
  POSITION_INTERVAL_MS: durationMs({
    default: 100,
    doc: 'the membership position is published at most this often',
  }),
} as const;

export type ProjectorConfig = ConfigOf<typeof shape>;

/** Throws ConfigError naming every problem. */
export const readProjectorConfig = (env: Env): ProjectorConfig => readConfig(shape, env);
