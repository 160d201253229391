/** What the api reads from its environment; every bound of it has its name here. */

import {
  type ConfigOf,
  type Env,
  commonOptions,
  durationMs,
  int,
  list,
  oneOf,
  optional,
  port,
  readConfig,
  secret,
  str,
  url,
} from '@chat/platform/config';
import { ConfigError } from '@chat/platform/faults';

const shape = {
  ...commonOptions,
  API_HOST: str({ default: '127.0.0.1', doc: 'address of the HTTP listener' }),
  API_PORT: port({ default: 8080, doc: 'port of the HTTP listener' }),
  READ_STORE: oneOf(['postgres', 'mongodb'], { default: 'postgres', doc: 'kind of the read store' }),
  READ_DATABASE_URL: optional(
    url({
      protocols: ['postgres', 'postgresql'],
      isSecret: true,
      doc: 'PostgreSQL of the read model; for READ_STORE=postgres',
    }),
  ),
  // Not a `url`: it may name several hosts.
  MONGODB_URL: optional(
    secret({ doc: 'MongoDB of the read model (replica set or sharded); for READ_STORE=mongodb' }),
  ),
  READ_POOL_MAX_COUNT: int({ default: 20, min: 1, max: 50, doc: 'connections to the read store' }),
  JWT_AUDIENCE: str({ default: 'chat', doc: 'audience that tokens must name' }),
  JWT_ISSUER: optional(str({ doc: 'issuer of the tokens' })),
  JWT_JWKS: optional(str({ doc: 'file path or URL of its public keys' })),
  DEV_JWT_JWKS: optional(str({ doc: 'public keys of the development issuer; development and test only' })),
  DEV_ISSUER_KEY_FILE: optional(str({ doc: 'private key for POST /dev/token; development and test only' })),
  TEAM_ID_SECRET: secret({ minLength: 16, doc: 'key of the MAC that makes team ids; the same in every api' }),
  WEB_ROOT: optional(str({ doc: 'folder of the built page, served at /' })),
  GATEWAY_URLS: list({ default: [], doc: 'WebSocket bases that the page is told, e.g. ws://127.0.0.1:8081' }),
  ALLOWED_ORIGINS: list({ default: [], doc: 'browser origins that may call; * allows all' }),
  COMMAND_WAIT_MS: durationMs({ default: 5_000, doc: 'how long a command waits for its outcome before 202' }),
  COMMANDS_IN_FLIGHT_MAX_COUNT: int({
    default: 2_048,
    min: 1,
    max: 65_536,
    doc: 'more are refused: OVERLOADED',
  }),
  MESSAGE_BURST_COUNT: int({ default: 20, min: 1, doc: 'messages of a user within MESSAGE_BURST_MS' }),
  MESSAGE_BURST_MS: durationMs({ default: 10_000, doc: 'time in which the burst is refilled' }),
  MESSAGE_SUSTAINED_COUNT: int({ default: 100, min: 1, doc: 'messages of a user within a minute' }),
  API_REQUESTS_PER_MINUTE_COUNT: int({ default: 1_000, min: 1, doc: 'requests of a user within a minute' }),
  MIN_SEQ_WAIT_MS: durationMs({ default: 2_000, doc: 'how long a read waits for its minSeq' }),
} as const;

export type ApiConfig = ConfigOf<typeof shape>;

/** Throws ConfigError naming every problem. */
export const readApiConfig = (env: Env): ApiConfig => {
  const config = readConfig(shape, env);
  const problems: string[] = [];
  if (config.READ_STORE === 'postgres' && config.READ_DATABASE_URL === undefined)
    problems.push('READ_DATABASE_URL is missing');
  if (config.READ_STORE === 'mongodb' && !/^mongodb(\+srv)?:\/\//.test(config.MONGODB_URL ?? ''))
    problems.push('MONGODB_URL must be a URL that begins with mongodb:// or mongodb+srv://');
  const isProduction = config.CHAT_ENV === 'production';
  if ((config.JWT_ISSUER === undefined) !== (config.JWT_JWKS === undefined))
    problems.push('JWT_ISSUER and JWT_JWKS need each other');
  if (isProduction && config.DEV_JWT_JWKS !== undefined)
    problems.push('DEV_JWT_JWKS is only for development and test');
  if (isProduction && config.DEV_ISSUER_KEY_FILE !== undefined)
    problems.push('DEV_ISSUER_KEY_FILE is only for development and test');
  if (config.JWT_JWKS === undefined && config.DEV_JWT_JWKS === undefined)
    problems.push('JWT_JWKS is missing (or DEV_JWT_JWKS in development)');
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
};
