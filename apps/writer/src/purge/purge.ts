/**
 * Purges `CMD_<p>` of what is committed *and* older than the duplicate window. A sample of the committed position is
 * taken every round; a command at or below a sample that is a window old was committed, and stored, before that sample.
 * After a start it takes one window until the first purge.
 *
 * That holds for the stream that was sampled. One that was made anew, or lost its tail, holds other commands under these
 * numbers, which perhaps nobody has read: the sampled command must still stand at its number, else nothing is purged.
 */

import { CMD_DUPLICATE_WINDOW_MS, cmdStream } from '@chat/contracts/streams';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { FaultPoints } from '../fault-points.ts';
import { type Position, verifyPosition } from '../intake/verify-position.ts';
import type { OpenPartition } from '../partition/open-partition.ts';
import type { WriterStreams } from '../streams/writer-streams.ts';

/** Design: every minute. */
export const PURGE_INTERVAL_MS = 60_000;
/** Ten rounds make a window; one more for jitter. Older samples are merged into the newest of them. */
const SAMPLES_MAX_COUNT = 64;

export type PurgeDeps = {
  readonly streams: WriterStreams;
  readonly openPartitions: () => readonly OpenPartition[];
  readonly faultPoints: FaultPoints;
  readonly log: Logger;
  /** Monotonic. */
  readonly nowMs?: () => number;
  readonly intervalMs?: number;
  readonly windowMs?: number;
};

type Sample = Position & { readonly atMs: number };

export type Purge = {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly round: () => Promise<void>;
};

export const createPurge = (deps: PurgeDeps): Purge => {
  const { streams, log, intervalMs = PURGE_INTERVAL_MS, windowMs = CMD_DUPLICATE_WINDOW_MS } = deps;
  const nowMs = deps.nowMs ?? (() => performance.now());
  /** Keyed by the open partition itself: another opening starts anew. */
  const samples = new WeakMap<OpenPartition, Sample[]>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  const purgePartition = async (open: OpenPartition): Promise<void> => {
    const taken = samples.get(open) ?? [];
    samples.set(open, taken);
    // Numbers went back (the stream was made anew): what was sampled belongs to another stream.
    if ((taken.at(-1)?.seq ?? 0) > open.cmdSeq) taken.length = 0;
    taken.push({ atMs: nowMs(), seq: open.cmdSeq, mark: open.cmdMark });
    if (taken.length > SAMPLES_MAX_COUNT) taken.splice(1, 1);
    let old: Sample | undefined;
    while (taken[0] && taken[0].atMs <= nowMs() - windowMs) old = taken.shift();
    const upTo = old?.seq ?? 0;
    if (!old || upTo === 0) return;
    if ((await verifyPosition(streams, open.p, old)) === 'lost') {
      taken.length = 0;
      return;
    }
    await streams.purgeBelow(cmdStream(open.p), upTo + 1);
    deps.faultPoints('purge');
    log.debug({ partition: open.p, upTo }, 'commands purged');
  };

  const round = async (): Promise<void> => {
    for (const open of deps.openPartitions()) {
      try {
        await purgePartition(open);
      } catch (error) {
        log.warn(
          { partition: open.p, reason: reasonOf(error) },
          'commands not purged; next round tries again',
        );
      }
    }
  };

  return {
    start: async () => {
      timer ??= setInterval(() => {
        running ??= round().finally(() => (running = undefined));
      }, intervalMs);
    },
    stop: async () => {
      clearInterval(timer);
      await running;
    },
    round,
  };
};
