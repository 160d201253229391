/** What the gateway reads from its environment. Every bound has its name here; none is read anywhere else. */

import {
  bytes,
  commonOptions,
  durationMs,
  int,
  list,
  optional,
  port,
  readConfig,
  str,
  type ConfigOf,
  type Env,
} from '@chat/platform/config';
import { ConfigError } from '@chat/platform/faults';

const shape = {
  ...commonOptions,
  WS_HOST: str({ default: '127.0.0.1', doc: 'address of the WebSocket listener' }),
  WS_PORT: port({ default: 7001, doc: 'port of the WebSocket listener' }),
  JWT_AUDIENCE: str({ default: 'chat', doc: 'audience that tokens must name' }),
  JWT_ISSUER: optional(str({ doc: 'issuer of the tokens' })),
  JWT_JWKS: optional(str({ doc: 'file path or URL of its public keys' })),
  DEV_JWT_JWKS: optional(str({ doc: 'public keys of the development issuer; development and test only' })),
  ALLOWED_ORIGINS: list({ default: [], doc: 'browser origins that may connect; * allows all' }),
  HEARTBEAT_MS: durationMs({ default: 15_000, doc: 'an idle socket gets a tick this often' }),
  TAIL_MAX_BYTES: bytes({ default: 256 * 2 ** 20, doc: 'events kept for resume, all partitions together' }),
  TAIL_MAX_COUNT: int({
    default: 100_000,
    min: 1,
    max: 10_000_000,
    doc: 'events kept for resume, each partition',
  }),
  TAIL_MAX_AGE_MS: durationMs({ default: 600_000, doc: 'events older than this leave the tail' }),
  TAIL_FILL_COUNT: int({ default: 20_000, min: 1, doc: 'events read into each tail before ready' }),
  REPLAY_MAX_COUNT: int({ default: 10_000, min: 1, doc: 'more missed events than this need a snapshot' }),
  REPLAY_MAX_BYTES: bytes({ default: 8 * 2 ** 20, doc: 'bound of one replay that is read from the stream' }),
  STREAM_REPLAY_MAX_CONCURRENCY: int({
    default: 8,
    min: 1,
    max: 64,
    doc: 'replays read from the stream at once',
  }),
  SOCKET_MAX_BUFFERED_BYTES: bytes({
    default: 2 ** 20,
    doc: 'unsent bytes of one socket before it leaves live fan-out',
  }),
  SLOW_CONSUMER_MAX_MS: durationMs({ default: 30_000, doc: 'a socket stuck longer than this is closed' }),
  IN_FLIGHT_MAX_COUNT: int({
    default: 256,
    min: 1,
    max: 65_536,
    doc: 'commands of a session waiting for their outcome',
  }),
  COMMAND_QUEUE_MAX_BYTES: bytes({ default: 64 * 2 ** 20, doc: 'commands not yet stored, all sessions' }),
  PUBLISH_WINDOW_COUNT: int({ default: 4096, min: 1, doc: 'commands published and not yet acknowledged' }),
  SESSIONS_MAX_COUNT: int({ default: 50_000, min: 1, doc: 'open sockets; more are refused' }),
  MESSAGE_BURST_COUNT: int({ default: 20, min: 1, doc: 'messages of a user within MESSAGE_BURST_MS' }),
  MESSAGE_BURST_MS: durationMs({ default: 10_000 }),
  MESSAGE_SUSTAINED_COUNT: int({ default: 100, min: 1, doc: 'messages of a user within a minute' }),
  BEHIND_MAX_MS: durationMs({
    default: 30_000,
    doc: 'a gateway that cannot follow longer closes its sockets',
  }),
  REGISTRY_HEARTBEAT_MS: durationMs({
    default: 15_000,
    doc: 'the connection registry is written again this often; a dead gateway leaves it after 3.25 times this',
  }),
  STREAM_REPLICAS: int({ default: 1, min: 1, max: 5, doc: 'replicas of the registry when it is made here' }),
  DRAIN_GRACE_MS: durationMs({
    default: 30_000,
    doc: 'time over which a stopping gateway sends clients away',
  }),
} as const;

export type GatewayConfig = ConfigOf<typeof shape>;

/** Throws ConfigError naming every problem. */
export const readGatewayConfig = (env: Env): GatewayConfig => {
  const config = readConfig(shape, env);
  const problems: string[] = [];
  if ((config.JWT_ISSUER === undefined) !== (config.JWT_JWKS === undefined))
    problems.push('JWT_ISSUER and JWT_JWKS need each other');
  if (config.DEV_JWT_JWKS !== undefined && config.CHAT_ENV === 'production')
    problems.push('DEV_JWT_JWKS is only for development and test');
  if (config.JWT_JWKS === undefined && config.DEV_JWT_JWKS === undefined)
    problems.push('JWT_JWKS is missing (or DEV_JWT_JWKS in development)');
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
};
