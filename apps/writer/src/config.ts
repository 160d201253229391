/** The writer's environment: read here and nowhere else. */

import {
  type ConfigOf,
  type Env,
  commonOptions,
  durationMs,
  int,
  optional,
  readConfig,
  str,
  url,
} from '@chat/platform/config';

export const writerOptions = {
  ...commonOptions,
  DATABASE_URL: url({
    doc: 'PostgreSQL of the write side',
    protocols: ['postgres', 'postgresql'],
    isSecret: true,
  }),
  STREAM_REPLICAS: int({
    default: 1,
    min: 1,
    max: 5,
    doc: 'replicas of streams made by the writer; 3 in production',
  }),
  STOP_TIMEOUT: durationMs({ default: 10_000, doc: 'from SIGTERM to exit' }),
  FAULT_CRASH_AT: optional(
    str({ doc: 'tests only: end the process at <step>:<nth>', pattern: /^[a-z]+:[1-9][0-9]*$/ }),
  ),
} as const;

export type WriterConfig = ConfigOf<typeof writerOptions>;

export const readWriterConfig = (env: Env): WriterConfig => readConfig(writerOptions, env);
