/** The api process. */

import { createDevIssuer } from '@chat/platform/auth/dev-issuer';
import { DEV_ISSUER } from '@chat/platform/auth/dev-issuer';
import { type TokenIssuer, createTokenVerifier } from '@chat/platform/auth/tokens';
import { exitOnConfigError } from '@chat/platform/config';
import { createHealthServer } from '@chat/platform/health';
import { createLogger } from '@chat/platform/log';
import { createObservability } from '@chat/platform/observability';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { READ_TIMEOUT_MS } from '@chat/platform/postgres/pool';
import { type Service, runService } from '@chat/platform/service';
import { followLive } from '@chat/read-model/catalog/follow-live';
import { openReadStore } from '@chat/read-model/open-read-store';
import { API_INBOX_PREFIX, API_VERSION, type Api, createApi } from './api.ts';
import { type ApiConfig, readApiConfig } from './config.ts';

const STOP_TIMEOUT_MS = 30_000;
const CATALOG_INTERVAL_MS = 250;

const issuersOf = (config: ApiConfig): TokenIssuer[] => {
  const { JWT_AUDIENCE: audience, JWT_ISSUER: issuer, JWT_JWKS: jwks, DEV_JWT_JWKS: devJwks } = config;
  return [
    ...(issuer !== undefined && jwks !== undefined ? [{ issuer, audience, jwks }] : []),
    ...(devJwks === undefined ? [] : [{ issuer: DEV_ISSUER, audience, jwks: devJwks }]),
  ];
};

const main = async (): Promise<void> => {
  const config = exitOnConfigError(() => readApiConfig(process.env));
  const log = createLogger({ app: 'api', instance: config.INSTANCE_ID, level: config.LOG_LEVEL });
  const { tracing, metrics, metricsServer } = await createObservability({ service: 'api', config, log });
  const store = openReadStore({
    kind: config.READ_STORE,
    url: (config.READ_STORE === 'mongodb' ? config.MONGODB_URL : config.READ_DATABASE_URL) ?? '',
    maxCount: config.READ_POOL_MAX_COUNT,
    name: 'chat-api',
    timeoutMs: READ_TIMEOUT_MS,
    metrics,
    log,
  });
  const core = followLive({
    store,
    view: 'core',
    portOf: (open) => open.core,
    intervalMs: CATALOG_INTERVAL_MS,
    log,
  });
  const search = followLive({
    store,
    view: 'search',
    portOf: (open) => open.search,
    intervalMs: CATALOG_INTERVAL_MS,
    log,
  });
  const abort = new AbortController();
  let nats: NatsHandle | undefined;
  let api: Api | undefined;
  const starting = { ok: false as const, reason: 'starting' };
  const health = createHealthServer({
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    checks: {
      http: () => api?.checks['http']?.() ?? starting,
      nats: () => api?.checks['nats']?.() ?? starting,
      store: () => api?.checks['store']?.() ?? starting,
    },
    version: API_VERSION,
    log,
  });

  const service: Service = {
    start: async () => {
      const { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: password, INSTANCE_ID } = config;
      const name = `api ${INSTANCE_ID}`;
      nats = await connectNats({
        servers,
        user,
        password,
        name,
        inboxPrefix: API_INBOX_PREFIX,
        log,
        metrics,
        signal: abort.signal,
      });
      const keyFile = config.DEV_ISSUER_KEY_FILE;
      const devIssuer =
        keyFile === undefined ? undefined : await createDevIssuer({ keyFile, audience: config.JWT_AUDIENCE });
      api = createApi({
        config,
        nats,
        readModel: core.port,
        search: search.port,
        verifier: createTokenVerifier({ issuers: issuersOf(config) }),
        devIssuer,
        metrics,
        log,
        tracer: tracing.tracer,
      });
      await Promise.all([core.start(), search.start()]);
      await api.start();
    },
    drain: async (deadlineMs) => api?.drain?.(deadlineMs),
    stop: async () => {
      abort.abort();
      await api?.stop();
      await nats?.close();
      await Promise.all([core.stop(), search.stop()]);
      await store.close();
      await tracing.stop();
    },
  };
  await runService({ name: 'api', log, service, health, metricsServer, stopTimeoutMs: STOP_TIMEOUT_MS });
};

await main();
