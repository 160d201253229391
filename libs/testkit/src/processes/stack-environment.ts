/** The environment of every process of a stack: the one place that knows which app is told what. */

import type { NatsCredentialsByRole, NatsRole } from '../servers/nats-server.ts';
import type { AppEnvironment, AppName } from './app-process.ts';

export const TOKEN_AUDIENCE = 'realtimechat';

/** What all processes of a stack share. */
export type StackFacts = {
  readonly chatEnv: 'development' | 'test';
  readonly logLevel: string;
  readonly natsUrl: string;
  readonly natsCredentials: NatsCredentialsByRole;
  /** Default 1. */
  readonly streamReplicaCount?: number;
  readonly partitionCount: number;
  readonly databaseUrl: string;
  /** The read store is MongoDB at this address; without it PostgreSQL, beside the write model. */
  readonly mongodbUrl?: string;
  /** JWKS file of the development issuer, and its private key (api only). */
  readonly devJwksFile: string;
  readonly devKeyFile: string;
  readonly teamIdSecret: string;
  readonly webRoot: string;
  /** ws:// bases the page is told. */
  readonly gatewayUrls: readonly string[];
  readonly allowedOrigins: readonly string[];
};

/** What is one process's own. `port` is the WebSocket or HTTP port; writer and projector have none. */
export type ProcessFacts = {
  readonly app: AppName;
  readonly instance: string;
  readonly healthPort: number;
  readonly metricsPort: number;
  readonly port?: number;
};

const HOST = '127.0.0.1';
const roleOf: Readonly<Record<AppName, NatsRole>> = {
  gateway: 'gateway',
  writer: 'writer',
  projector: 'projector',
  api: 'api',
};

export const environmentOf = (stack: StackFacts, own: ProcessFacts): AppEnvironment => {
  const { user, password } = stack.natsCredentials[roleOf[own.app]];
  const common = {
    CHAT_ENV: stack.chatEnv,
    LOG_LEVEL: stack.logLevel,
    INSTANCE_ID: own.instance,
    NATS_URL: stack.natsUrl,
    NATS_USER: user,
    NATS_PASSWORD: password,
    PARTITIONS: String(stack.partitionCount),
    HEALTH_HOST: HOST,
    HEALTH_PORT: String(own.healthPort),
    METRICS_HOST: HOST,
    METRICS_PORT: String(own.metricsPort),
  };
  const tokens = { JWT_AUDIENCE: TOKEN_AUDIENCE, DEV_JWT_JWKS: stack.devJwksFile };
  const replicas = { STREAM_REPLICAS: String(stack.streamReplicaCount ?? 1) };
  const origins = { ALLOWED_ORIGINS: stack.allowedOrigins.join(',') };
  const readStore: AppEnvironment =
    stack.mongodbUrl === undefined
      ? { READ_STORE: 'postgres', READ_DATABASE_URL: stack.databaseUrl }
      : { READ_STORE: 'mongodb', MONGODB_URL: stack.mongodbUrl };
  switch (own.app) {
    case 'gateway':
      return { ...common, ...tokens, ...origins, ...replicas, WS_HOST: HOST, WS_PORT: String(own.port) };
    case 'writer':
      return { ...common, ...replicas, DATABASE_URL: stack.databaseUrl };
    case 'projector':
      return { ...common, ...readStore, ...replicas, DATABASE_URL: stack.databaseUrl };
    case 'api':
      return {
        ...common,
        ...tokens,
        ...origins,
        ...readStore,
        API_HOST: HOST,
        API_PORT: String(own.port),
        DEV_ISSUER_KEY_FILE: stack.devKeyFile,
        TEAM_ID_SECRET: stack.teamIdSecret,
        WEB_ROOT: stack.webRoot,
        GATEWAY_URLS: stack.gatewayUrls.join(','),
      };
  }
};
