/** The gateway process. */

import { DEV_ISSUER } from '@chat/platform/auth/dev-issuer';
import { type TokenIssuer, createTokenVerifier } from '@chat/platform/auth/tokens';
import { exitOnConfigError } from '@chat/platform/config';
import { createHealthServer } from '@chat/platform/health';
import { createLogger } from '@chat/platform/log';
import { createObservability } from '@chat/platform/observability';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { runService } from '@chat/platform/service';
import { type GatewayConfig, readGatewayConfig } from './config.ts';
import { type Gateway, createGateway } from './gateway.ts';

/** Grace of the drain and what closing takes; the platform's own timeout (90 s) is longer. */
const STOP_MARGIN_MS = 10_000;
const INBOX_PREFIX = '_INBOX_gateway';

const issuersOf = (config: GatewayConfig): TokenIssuer[] => {
  const audience = config.JWT_AUDIENCE;
  const issuers: TokenIssuer[] = [];
  if (config.JWT_ISSUER !== undefined && config.JWT_JWKS !== undefined)
    issuers.push({ issuer: config.JWT_ISSUER, audience, jwks: config.JWT_JWKS });
  if (config.DEV_JWT_JWKS !== undefined)
    issuers.push({ issuer: DEV_ISSUER, audience, jwks: config.DEV_JWT_JWKS });
  return issuers;
};

const main = async (): Promise<void> => {
  const config = exitOnConfigError(() => readGatewayConfig(process.env));
  const log = createLogger({ app: 'gateway', instance: config.INSTANCE_ID, level: config.LOG_LEVEL });
  const { tracing, metrics, metricsServer } = await createObservability({ service: 'gateway', config, log });
  const tokens = createTokenVerifier({ issuers: issuersOf(config) });
  const connecting = new AbortController();
  const handles: NatsHandle[] = [];
  let gateway: Gateway | undefined;

  const connect = async (purpose: string): Promise<NatsHandle> => {
    const handle = await connectNats({
      servers: config.NATS_URL,
      user: config.NATS_USER,
      password: config.NATS_PASSWORD,
      name: `gateway ${config.INSTANCE_ID}${purpose}`,
      inboxPrefix: INBOX_PREFIX,
      log,
      metrics,
      connection: purpose === '' ? 'main' : purpose.trim(),
      signal: connecting.signal,
    });
    handles.push(handle);
    return handle;
  };

  const notStarted = { ok: false, reason: 'not connected to NATS yet' } as const;
  const health = createHealthServer({
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    log,
    checks: {
      nats: () => gateway?.checks['nats']?.() ?? notStarted,
      feed: () => gateway?.checks['feed']?.() ?? notStarted,
      drain: () => gateway?.checks['drain']?.() ?? { ok: true },
    },
  });

  await runService({
    name: 'gateway',
    log,
    health,
    metricsServer,
    stopTimeoutMs: config.DRAIN_GRACE_MS + STOP_MARGIN_MS,
    service: {
      start: async () => {
        const nats = await connect('');
        const replayNats = await connect(' replay');
        gateway = createGateway({
          config,
          metrics,
          nats,
          replayNats,
          inboxPrefix: INBOX_PREFIX,
          tokens,
          log,
          tracer: tracing.tracer,
        });
        await gateway.start();
      },
      drain: async (deadlineMs) => gateway?.drain?.(deadlineMs),
      stop: async () => {
        connecting.abort();
        await gateway?.stop();
        await Promise.all(handles.map((handle) => handle.close()));
        await tracing.stop();
      },
    },
  });
};

await main();
