/**
 * The life of a process: starting → running → (draining →) stopping → exit.
 * - start fails                     → stop what was started, exit 1
 * - SIGTERM or SIGINT               → drain, stop, exit 0; past the deadline exit 1
 * - a second signal                 → exit 1 at once
 * - uncaughtException and the like  → log, stop (no drain), exit 1
 */

import { reasonOf } from './faults.ts';
import type { HealthServer } from './health.ts';
import type { Logger } from './log.ts';
import type { MetricsServer } from './metrics-server.ts';

export type Service = {
  start(): Promise<void>;
  /** May be called before, or in the middle of, a start (a signal, a failed start): releases what there is by then. */
  stop(): Promise<void>;
  /** Takes no new work and lets users go gently; done at the latest at the deadline (ms since the Unix epoch). */
  drain?(deadlineMs: number): Promise<void>;
};

/**
 * Makes a start or stop idempotent: every call, also a concurrent one, shares the first call's promise.
 */
export const onceAsync = <T>(fn: () => Promise<T>): (() => Promise<T>) => {
  let promise: Promise<T> | undefined;
  return () => (promise ??= Promise.resolve().then(fn));
};

export type RunServiceOptions = {
  readonly name: string;
  readonly log: Logger;
  readonly service: Service;
  /** Started first and stopped last, so that a probe always gets an answer. */
  readonly health?: HealthServer;
  /** Started and stopped with `health`: a start or a drain that hangs is seen. */
  readonly metricsServer?: MetricsServer;
  /** From the signal to the exit, drain included. */
  readonly stopTimeoutMs: number;
  /** For tests only. */
  readonly process?: ProcessLike;
};

export type ProcessLike = {
  on(event: string, listener: (...args: never[]) => void): unknown;
  exit(code: number): void;
};

/** Runs a service as this process; returns once it runs. It ends the process itself. */
export const runService = async (options: RunServiceOptions): Promise<void> => {
  const { name, log, service, health, metricsServer, stopTimeoutMs } = options;
  const proc = options.process ?? (process as ProcessLike);
  let ending = false;
  let exited = false;

  const exit = (code: number): void => {
    if (exited) return;
    exited = true;
    log.flush();
    proc.exit(code);
  };

  const end = async (why: string, code: number, gently: boolean): Promise<void> => {
    if (ending) return;
    ending = true;
    const deadlineMs = Date.now() + stopTimeoutMs;
    const timer = setTimeout(() => {
      log.error({ stopTimeoutMs }, `${name}: not stopped within the deadline, exiting`);
      exit(1);
    }, stopTimeoutMs);
    health?.setDraining();
    let exitCode = code;
    const step = async (what: string, run: (() => Promise<void>) | undefined): Promise<void> => {
      try {
        await run?.();
      } catch (error) {
        exitCode = 1;
        log.error({ err: error }, `${name}: ${what} failed: ${reasonOf(error)}`);
      }
    };
    log.info(`${name}: stopping (${why})`);
    if (gently && service.drain) await step('drain', () => service.drain!(deadlineMs));
    await step('stop', () => service.stop());
    await step('stopping the metrics server', metricsServer && (() => metricsServer.stop()));
    await step('stopping the health server', health && (() => health.stop()));
    clearTimeout(timer);
    log.info(`${name}: stopped`);
    exit(exitCode);
  };

  const onSignal = (signal: string): void => {
    if (ending) {
      log.warn(`${name}: second signal (${signal}), exiting at once`);
      exit(1);
      return;
    }
    void end(signal, 0, true);
  };
  proc.on('SIGTERM', () => onSignal('SIGTERM'));
  proc.on('SIGINT', () => onSignal('SIGINT'));
  const onFault = (kind: string, error: unknown): void => {
    log.fatal({ err: error }, `${name}: ${kind}: ${reasonOf(error)}`);
    if (ending) exit(1);
    else void end(kind, 1, false);
  };
  proc.on('uncaughtException', (error: unknown) => onFault('uncaughtException', error));
  proc.on('unhandledRejection', (error: unknown) => onFault('unhandledRejection', error));

  try {
    await health?.start();
    await metricsServer?.start();
    await service.start();
    if (!ending) log.info(`${name}: running`);
  } catch (error) {
    if (ending) return;
    log.fatal({ err: error }, `${name}: start failed: ${reasonOf(error)}`);
    await end('start failed', 1, false);
  }
};
