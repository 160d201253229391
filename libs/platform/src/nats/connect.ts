import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type NatsConnection, type Status, connect, errors } from '@nats-io/transport-node';
import { Fault, IncompatibleFault, UnavailableFault, reasonOf } from '../faults.ts';
import type { CheckResult } from '../health.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { type ConnectionMetrics, connectionMetrics } from './connection-metrics.ts';
import { backoffMs, pause } from '../resilience/backoff.ts';
import { StoppedFault } from '../faults.ts';
import { withTimeout } from '../resilience/deadline.ts';

/** Older servers lack security fixes and consumer semantics we rely on (facts: ≥ 2.14). */
export const NATS_MIN_VERSION = '2.14.0';

/** A dead or paused server is noticed after at most (pings out + 1) × interval = 4.5 s. */
const PING_INTERVAL_MS = 1_500;
const PING_OUT_MAX_COUNT = 2;
const DIAL_TIMEOUT_MS = 3_000;
const RECONNECT_WAIT_MS = 100;
const RECONNECT_JITTER_MS = 400;
const FIRST_RETRY_MAX_MS = 2_000;
const API_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;

export type NatsOptions = {
  readonly servers: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Shown to operators as the connection's name: app and instance. */
  readonly name: string;
  /** `_INBOX_<role>`: the only inboxes the role may subscribe to. */
  readonly inboxPrefix: string;
  readonly log: Logger;
  readonly metrics?: Metrics;
  /** Which of the process's connections this is, as a label of its metrics; default `main`. */
  readonly connection?: string;
  /** Ends the wait for the first connection (StoppedFault). */
  readonly signal?: AbortSignal;
};

export type NatsHandle = {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Connected at this moment? For readiness. */
  status(): CheckResult;
  /** Drains (what was published is sent) and closes; bounded. */
  close(): Promise<void>;
};

/**
 * Connects, waiting as long as it takes for a server (with a log line a try): a service may start before NATS. Then
 * reconnects for ever. Throws IncompatibleFault NATS_TOO_OLD, Fault NATS_AUTH (wrong user or password; waiting does not
 * help), StoppedFault.
 *
 * What is published while disconnected may or may not be sent later: only an ack says that it was.
 */
export const connectNats = async (options: NatsOptions): Promise<NatsHandle> => {
  const { log } = options;
  const seen = connectionMetrics(options.metrics, options.connection ?? 'main');
  const nc = await firstConnection(options);
  try {
    requireVersion(nc);
  } catch (error) {
    await nc.close();
    throw error;
  }
  log.info({ server: nc.getServer(), version: nc.info?.version }, 'NATS connected');
  seen.connected(true);
  const watch = watchConnection(nc, log, seen);
  const js = jetstream(nc, { timeout: API_TIMEOUT_MS });
  // Without checkAPI no request is made here: JetStream may still be electing a leader.
  const jsm = await jetstreamManager(nc, { timeout: API_TIMEOUT_MS, checkAPI: false });
  let closing: Promise<void> | undefined;
  return {
    nc,
    js,
    jsm,
    status: watch.status,
    close: () => {
      watch.expectClose();
      closing ??= closeConnection(nc);
      return closing;
    },
  };
};

const firstConnection = async (options: NatsOptions): Promise<NatsConnection> => {
  const { servers, user, password, name, inboxPrefix, log, signal } = options;
  for (let attempt = 0; ; attempt++) {
    if (signal?.aborted === true) throw new StoppedFault('the wait for NATS');
    try {
      return await connect({
        servers: [...servers],
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { pass: password }),
        name,
        inboxPrefix,
        // Costs a stack trace per publish and request otherwise: 22–25k/s against 29–43k/s (facts).
        noAsyncTraces: true,
        timeout: DIAL_TIMEOUT_MS,
        pingInterval: PING_INTERVAL_MS,
        maxPingOut: PING_OUT_MAX_COUNT,
        reconnect: true,
        maxReconnectAttempts: -1,
        reconnectDelayHandler: () => RECONNECT_WAIT_MS + Math.random() * RECONNECT_JITTER_MS,
        // A server that is being reconfigured may refuse us for a while; that must not end a running process.
        ignoreAuthErrorAbort: true,
      });
    } catch (error) {
      if (error instanceof errors.AuthorizationError) {
        throw new Fault('NATS_AUTH', `NATS refuses user ${user ?? '(none)'}: ${error.message}`, error);
      }
      const waitMs = 100 + backoffMs({ attempt, baseMs: 200, maxMs: FIRST_RETRY_MAX_MS });
      log.warn(
        { attempt: attempt + 1, waitMs, reason: reasonOf(error) },
        'NATS does not answer, trying again',
      );
      await pause(waitMs, signal);
    }
  }
};

const requireVersion = (nc: NatsConnection): void => {
  const found = nc.info?.version ?? 'an unknown version';
  if (isVersionAtLeast(found, NATS_MIN_VERSION)) return;
  const needed = `nats-server ${NATS_MIN_VERSION} or newer is needed`;
  throw new IncompatibleFault('NATS_TOO_OLD', `${needed}, found ${found} at ${nc.getServer()}`);
};

/** Compares `major.minor.patch`; a pre-release suffix is ignored. */
export const isVersionAtLeast = (found: string, needed: string): boolean => {
  const parts = (version: string): number[] =>
    (/^v?(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1) ?? ['-1']).map(Number);
  const a = parts(found);
  const b = parts(needed);
  for (let i = 0; i < 3; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
};

type Watch = { status(): CheckResult; expectClose(): void };

const watchConnection = (nc: NatsConnection, log: Logger, seen: ConnectionMetrics): Watch => {
  let connected = true;
  let closed = false;
  let expected = false;

  const onStatus = (status: Status): void => {
    switch (status.type) {
      case 'disconnect':
        connected = false;
        seen.connected(false);
        if (!expected) log.warn({ server: status.server }, 'NATS disconnected');
        break;
      case 'reconnect':
        connected = true;
        seen.reconnected();
        log.info({ server: status.server, version: nc.info?.version }, 'NATS reconnected');
        break;
      case 'staleConnection':
        log.warn({ pingIntervalMs: PING_INTERVAL_MS }, 'NATS does not answer pings, reconnecting');
        break;
      case 'slowConsumer':
        log.warn({ subject: status.sub.getSubject(), pending: status.pending }, 'NATS subscription is slow');
        break;
      case 'error':
        log.error({ reason: reasonOf(status.error) }, 'NATS reports an error');
        break;
      case 'ldm':
        log.info({ server: status.server }, 'NATS server is going into lame duck mode');
        break;
      default:
    }
  };
  void (async () => {
    for await (const status of nc.status()) onStatus(status);
  })();
  void nc.closed().then((error) => {
    connected = false;
    closed = true;
    seen.connected(false);
    if (expected) return;
    // It reconnects for ever, so this is the end of what this process can do: let the supervisor start a new one.
    log.fatal({ reason: reasonOf(error) }, 'NATS connection closed for good');
    setImmediate(() => {
      throw new UnavailableFault('the NATS connection was closed', { code: 'NATS_CLOSED', cause: error });
    });
  });
  return {
    status: () =>
      connected
        ? { ok: true }
        : { ok: false, reason: closed ? 'NATS connection closed' : 'NATS disconnected' },
    expectClose: () => {
      expected = true;
    },
  };
};

const closeConnection = async (nc: NatsConnection): Promise<void> => {
  if (nc.isClosed()) return;
  try {
    await withTimeout(nc.drain(), CLOSE_TIMEOUT_MS, 'draining the NATS connection');
  } catch {
    // Not connected, or the server does not answer: there is nothing to wait for.
    await withTimeout(nc.close(), CLOSE_TIMEOUT_MS, 'closing the NATS connection').catch(() => undefined);
  }
};
