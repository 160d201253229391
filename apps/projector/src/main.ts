/** The projector process: the log into the read model and the membership view. */

import { type CheckResult, createHealthServer } from '@chat/platform/health';
import { exitOnConfigError } from '@chat/platform/config';
import { createLogger } from '@chat/platform/log';
import { createObservability } from '@chat/platform/observability';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, createPool } from '@chat/platform/postgres/pool';
import { isServerTrouble } from '@chat/platform/postgres/sqlstate';
import { createGuard } from '@chat/platform/resilience/guard';
import { type Service, runService } from '@chat/platform/service';
import { openReadStore } from '@chat/read-model/open-read-store';
import { readProjectorConfig, readStoreOf } from './config.ts';
import { openLease } from './lease/open-lease.ts';
import { createEventLog, guardEventLog } from './partition/event-log.ts';
import { type Projector, createProjector } from './projector.ts';

const STOP_TIMEOUT_MS = 15_000;
const LOG_POOL_MAX_COUNT = 4;
const READ_POOL_MAX_COUNT = 16;

const main = async (): Promise<void> => {
  const config = exitOnConfigError(() => readProjectorConfig(process.env));
  const log = createLogger({ app: 'projector', instance: config.INSTANCE_ID, level: config.LOG_LEVEL });
  const { tracing, metrics, metricsServer } = await createObservability({
    service: 'projector',
    config,
    log,
  });
  const store = openReadStore({
    ...readStoreOf(config),
    maxCount: Math.min(READ_POOL_MAX_COUNT, config.PARTITIONS + 4),
    name: 'chat-projector',
    timeoutMs: WRITE_TIMEOUT_MS,
    metrics,
    log,
  });
  const logPool = createPool({
    url: config.DATABASE_URL,
    max: LOG_POOL_MAX_COUNT,
    name: 'chat-projector-log',
    statementTimeoutMs: READ_TIMEOUT_MS,
    metrics,
    log,
  });
  const logGuard = createGuard({
    name: 'chat-projector-log',
    isFailure: isServerTrouble,
    activeMaxCount: LOG_POOL_MAX_COUNT,
    // At most a few questions for each partition.
    waitingMaxCount: config.PARTITIONS * 4,
    probe: () => logPool.query('SELECT 1'),
    metrics,
    log,
  });
  const abort = new AbortController();
  let nats: NatsHandle | undefined;
  const natsStatus = (): CheckResult => nats?.status() ?? { ok: false, reason: 'not connected yet' };
  const unable = (): string | undefined => {
    const status = natsStatus();
    return status.ok ? undefined : `NATS: ${status.reason}`;
  };
  const lease = openLease({ config, unable, metrics, log });
  let projector: Projector | undefined;
  const partitionChecks = Object.fromEntries(
    Array.from({ length: config.PARTITIONS }, (_, p) => {
      const name = `partition-${p}`;
      return [name, () => projector?.checks[name]?.() ?? { ok: false as const, reason: 'starting' }];
    }),
  );
  const health = createHealthServer({
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    checks: {
      nats: natsStatus,
      lease: lease.check,
      ...partitionChecks,
    },
    log,
  });

  const service: Service = {
    start: async () => {
      const { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: password, INSTANCE_ID } = config;
      const name = `projector ${INSTANCE_ID}`;
      const inboxPrefix = '_INBOX_projector';
      nats = await connectNats({
        servers,
        user,
        password,
        name,
        inboxPrefix,
        log,
        metrics,
        signal: abort.signal,
      });
      const eventLog = guardEventLog(createEventLog(logPool), logGuard);
      projector = createProjector({
        config,
        nats,
        store,
        eventLog,
        ownership: lease.ownership,
        metrics,
        log,
        tracer: tracing.tracer,
      });
      await projector.start();
    },
    stop: async () => {
      abort.abort();
      await projector?.stop();
      await nats?.close();
      await logGuard.stop();
      await Promise.all([store.close(), logPool.end(), lease.close()]);
      await tracing.stop();
    },
  };
  await runService({
    name: 'projector',
    log,
    service,
    health,
    metricsServer,
    stopTimeoutMs: STOP_TIMEOUT_MS,
  });
};

await main();
