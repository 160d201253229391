/** Wires the api: one Fastify instance, its routes, and what they rest on. */

import type { AddressInfo } from 'node:net';
import type { UserId } from '@chat/contracts/ids';
import type { DevIssuer } from '@chat/platform/auth/dev-issuer';
import type { TokenVerifier } from '@chat/platform/auth/tokens';
import { type Clock, systemClock } from '@chat/platform/clock';
import { Fault, codeOf } from '@chat/platform/faults';
import type { Check } from '@chat/platform/health';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { createWindowedPublisher } from '@chat/platform/nats/publisher';
import { type Service, onceAsync } from '@chat/platform/service';
import type { Tracer } from '@chat/platform/tracing';
import type { ReadModel } from '@chat/read-model/port';
import type { SearchModel } from '@chat/read-model/search/port';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { fastify } from 'fastify';
import { authenticate, registerTokens } from './auth/authenticate.ts';
import { devTokenRoute } from './auth/dev-token-route.ts';
import { createCommandEntry } from './commands/command-entry.ts';
import { commandRoutes } from './commands/command-routes.ts';
import { createEpochs } from './commands/epochs.ts';
import { createTeamIdMaker } from './commands/team-id.ts';
import type { ApiConfig } from './config.ts';
import { createReadPosition } from './history/read-position.ts';
import { readRoutes } from './history/read-routes.ts';
import { createStoreWatch } from './history/store-watch.ts';
import type { App } from './http/app-type.ts';
import { clientErrorHandler, handleErrors, refuseOtherMethods } from './http/error-handling.ts';
import { healthRoutes } from './http/health-routes.ts';
import { BODY_MAX_BYTES, parseJsonBodies } from './http/json-body.ts';
import { DOCS_PREFIX, collectOpenApi, openApiRoutes } from './http/openapi.ts';
import { measureRequests } from './http/request-metrics.ts';
import { createTeamParser } from './http/team-parser.ts';
import { refuse } from './http/refusals.ts';
import { validateWithTypeBox } from './http/validation.ts';
import { type Limits, createLimits } from './limits/limits.ts';
import { searchRoute } from './search/search-route.ts';
import { pageRoutes, securityHeaders } from './web/page-routes.ts';

export const API_INBOX_PREFIX = '_INBOX_api';
export const API_VERSION = '0.1.0';
const DEMO_USERS = ['alice', 'bob', 'carol'] as UserId[];
const PUBLISH_TIMEOUT_MS = 2_000;
const REQUEST_TIMEOUT_MS = 15_000;
const KEEP_ALIVE_MS = 65_000;

export type ApiDeps = {
  readonly config: ApiConfig;
  readonly nats: NatsHandle;
  readonly readModel: ReadModel;
  readonly search: SearchModel;
  readonly verifier: TokenVerifier;
  /** Given in development and test only. */
  readonly devIssuer?: DevIssuer | undefined;
  readonly clock?: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type Api = Service & {
  readonly checks: Readonly<Record<string, Check>>;
  /** After start. */
  port(): number;
};

export const createApi = (deps: ApiDeps): Api => {
  const { config, nats, readModel, log } = deps;
  const publisher = createWindowedPublisher({
    nc: nats.nc,
    inboxPrefix: API_INBOX_PREFIX,
    maxInFlight: config.COMMANDS_IN_FLIGHT_MAX_COUNT,
    timeoutMs: PUBLISH_TIMEOUT_MS,
  });
  const storeWatch = createStoreWatch(readModel);
  const limits = createLimits({ config, nats, metrics: deps.metrics, log });
  let isDraining = false;
  let isListening = false;
  const http: Check = () => (isListening ? { ok: true } : { ok: false, reason: 'not listening yet' });
  const checks = { http, nats: nats.status, store: storeWatch.check };
  let app: App | undefined;

  return {
    checks,
    port: () => portOf(app) ?? config.API_PORT,
    start: onceAsync(async () => {
      await storeWatch.start();
      await limits.start();
      app = await buildApp(deps, { publisher, checks, limits, isDraining: () => isDraining });
      await listen(app, config);
      isListening = true;
      log.info({ port: portOf(app) }, 'api listening');
    }),
    drain: async () => {
      isDraining = true;
    },
    // Requests that are being served are finished: close waits for them.
    stop: onceAsync(async () => {
      isDraining = true;
      await app?.close();
      publisher.close();
      await limits.stop();
      await storeWatch.stop();
    }),
  };
};

const portOf = (app: App | undefined): number | undefined =>
  (app?.server.address() as AddressInfo | null | undefined)?.port;

const listen = async (app: App, { API_HOST: host, API_PORT: port }: ApiConfig): Promise<void> => {
  try {
    await app.listen({ host, port });
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw error;
    const message = `port ${port} on ${host} is taken by another process; set API_PORT to a free one`;
    throw new Fault('API_PORT_TAKEN', message, error);
  }
};

type Parts = {
  readonly publisher: ReturnType<typeof createWindowedPublisher>;
  readonly checks: Readonly<Record<string, Check>>;
  readonly limits: Limits;
  readonly isDraining: () => boolean;
};

const buildApp = async (deps: ApiDeps, { publisher, checks, limits, isDraining }: Parts): Promise<App> => {
  const { config, nats, readModel, search, verifier, devIssuer, clock = systemClock, log } = deps;
  const app = fastify({
    logger: false,
    bodyLimit: BODY_MAX_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler,
    // What fails before there is a route, e.g. a path that cannot be decoded.
    frameworkErrors: (_error, _request, reply) => void refuse(reply, { code: 'REQUEST_INVALID' }),
  }).withTypeProvider<TypeBoxTypeProvider>();
  measureRequests(app, deps.metrics);
  const known = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    if (url.includes('*') || url.startsWith(DOCS_PREFIX)) return;
    const methods = known.get(url) ?? new Set<string>();
    for (const one of [method].flat()) methods.add(one);
    known.set(url, methods);
  });
  handleErrors(app, log);
  parseJsonBodies(app);
  validateWithTypeBox(app);
  const page = {
    webRoot: config.WEB_ROOT,
    isProduction: config.CHAT_ENV === 'production',
    allowedOrigins: config.ALLOWED_ORIGINS,
    clientConfig: { gateways: config.GATEWAY_URLS, demoUsers: devIssuer ? DEMO_USERS : [] },
  };
  await securityHeaders(app, page);
  await collectOpenApi(app, API_VERSION);
  healthRoutes(app, { checks, isDraining });
  await pageRoutes(app, page);
  if (devIssuer) devTokenRoute(app, devIssuer, clock);

  const parseTeam = createTeamParser(config.PARTITIONS);
  const epochs = createEpochs(nats);
  const entry = createCommandEntry({
    nats,
    publisher,
    waitMs: config.COMMAND_WAIT_MS,
    clock,
    log,
    tracer: deps.tracer,
  });
  const waits = { epochs, maxWaitMs: config.MIN_SEQ_WAIT_MS, log };
  const position = createReadPosition({ readModel, ...waits });
  const searchPosition = createReadPosition({ readModel: search, ...waits });
  const makeTeamId = createTeamIdMaker(config.TEAM_ID_SECRET, config.PARTITIONS);
  await registerTokens(app, verifier);
  await app.register(async (scope) => {
    const authenticated = scope.withTypeProvider<TypeBoxTypeProvider>();
    authenticated.addHook('onRoute', (route) => {
      route.schema = { ...route.schema, security: [{ bearer: [] }] };
    });
    authenticated.addHook('onRequest', authenticate);
    authenticated.addHook('onRequest', limits.limitRequests);
    commandRoutes(authenticated, { entry, epochs, makeTeamId, parseTeam, messageGate: limits.messageGate });
    readRoutes(authenticated, { readModel, position, parseTeam });
    searchRoute(authenticated, { readModel, search, position, searchPosition, parseTeam });
  });
  await openApiRoutes(app);
  refuseOtherMethods(app, new Map(known));
  await app.ready();
  return app;
};
