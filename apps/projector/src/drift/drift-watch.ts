/**
 * Compares what is open here with event_log by itself, one partition after another, every `intervalMs`, so that a drift is
 * an alert before it is a question. Finds only: putting right is for a person to begin.
 *
 * States: idle → watching → stopped.
 */

import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { pause } from '@chat/platform/resilience/backoff';
import { type Service, onceAsync } from '@chat/platform/service';
import type { DriftRunner } from './drift-runner.ts';

export type DriftWatchDeps = {
  readonly runner: DriftRunner;
  readonly open: () => readonly number[];
  readonly intervalMs: number;
  readonly log: Logger;
};

export const createDriftWatch = ({ runner, open, intervalMs, log }: DriftWatchDeps): Service => {
  const abort = new AbortController();
  const { signal } = abort;
  let running: Promise<void> = Promise.resolve();

  const look = async (partition: number): Promise<void> => {
    try {
      const report = await runner.check(await runner.liveVersion(), { partition }, 'rows', signal);
      if (report.kind !== 'checked') return;
      const { driftCount, upTo, durationMs, memberViews } = report;
      const found = { partition, driftCount, memberViewCount: memberViews?.driftCount, upTo, durationMs };
      if (driftCount > 0 || (memberViews?.driftCount ?? 0) > 0)
        log.error(found, 'the read model is not what event_log says');
      else log.info(found, 'the read model is what event_log says');
    } catch (error) {
      if (!signal.aborted) log.warn({ partition, reason: reasonOf(error) }, 'drift was not looked for');
    }
  };

  const run = async (): Promise<void> => {
    for (;;) {
      await pause(intervalMs, signal);
      for (const partition of open()) {
        if (signal.aborted) return;
        await look(partition);
      }
      if (signal.aborted) return;
    }
  };

  return {
    start: onceAsync(async () => {
      running = run();
    }),
    stop: onceAsync(async () => {
      abort.abort();
      await running;
    }),
  };
};
