/** The writer process. */

import { systemClock } from '@chat/platform/clock';
import { exitOnConfigError } from '@chat/platform/config';
import { createHealthServer } from '@chat/platform/health';
import { createLogger } from '@chat/platform/log';
import { createObservability } from '@chat/platform/observability';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { type Service, runService } from '@chat/platform/service';
import { type WriterConfig, readWriterConfig } from './config.ts';
import { crashAt, noFaultPoints } from './fault-points.ts';
import { type Writer, createWriter } from './writer.ts';

const config: WriterConfig = exitOnConfigError(() => readWriterConfig(process.env));
const log = createLogger({ app: 'writer', instance: config.INSTANCE_ID, level: config.LOG_LEVEL });
const { tracing, metrics, metricsServer } = await createObservability({ service: 'writer', config, log });
const stopping = new AbortController();
let nats: NatsHandle | undefined;
let writer: Writer | undefined;

const faultPoints =
  config.CHAT_ENV === 'test' && config.FAULT_CRASH_AT !== undefined
    ? crashAt(config.FAULT_CRASH_AT)
    : noFaultPoints;

const service: Service = {
  start: async () => {
    nats = await connectNats({
      servers: config.NATS_URL,
      user: config.NATS_USER,
      password: config.NATS_PASSWORD,
      name: `writer ${config.INSTANCE_ID}`,
      inboxPrefix: '_INBOX_writer',
      log,
      metrics,
      signal: stopping.signal,
    });
    writer = createWriter({
      nats,
      databaseUrl: config.DATABASE_URL,
      instanceId: config.INSTANCE_ID,
      streamReplicas: config.STREAM_REPLICAS,
      clock: systemClock,
      log,
      faultPoints,
      metrics,
      partitionCount: config.PARTITIONS,
      tracer: tracing.tracer,
    });
    await writer.start();
  },
  stop: async () => {
    stopping.abort();
    await writer?.stop();
    await nats?.close();
    await tracing.stop();
  },
};

const starting = { ok: false, reason: 'starting' } as const;
const health = createHealthServer({
  host: config.HEALTH_HOST,
  port: config.HEALTH_PORT,
  checks: Object.fromEntries(
    (['nats', 'postgres', 'lease', 'partitions'] as const).map((name) => [
      name,
      () => writer?.checks[name]?.() ?? starting,
    ]),
  ),
  log,
});

await runService({ name: 'writer', log, service, health, metricsServer, stopTimeoutMs: config.STOP_TIMEOUT });
