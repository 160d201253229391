/**
 * Looks at the streams of the owned partitions every few seconds: their size, their bound, and how many commands wait. What
 * could not be asked has no value until it can be: an old one would say that all is well.
 */

import type { JetStreamManager } from '@nats-io/jetstream';
import { cmdStream, evtStream } from '@chat/contracts/streams';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import type { OpenPartition } from '../partition/open-partition.ts';

const LOOK_EVERY_MS = 5_000;
/** While nothing is owned: the first lease comes soon after the start. */
const FIRST_LOOK_MS = 200;

export type StreamWatchDeps = {
  readonly metrics: Metrics;
  readonly jsm: JetStreamManager;
  readonly ownedPartitions: () => readonly number[];
  readonly openPartitions: () => readonly OpenPartition[];
  readonly log: Logger;
  readonly everyMs?: number;
};

export type StreamWatch = {
  start(): void;
  stop(): void;
  /** By partition; also of those that are owned and not open (the database is away). */
  readonly backlogs: ReadonlyMap<number, number>;
};

type Size = { readonly bytes: number; readonly maxBytes: number };

export const createStreamWatch = (deps: StreamWatchDeps): StreamWatch => {
  const { metrics, jsm, log } = deps;
  let sizes = new Map<string, Size>();
  const backlogs = new Map<number, number>();
  /** Last committed command of a partition while it was last open. */
  const positions = new Map<number, number>();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  const lookAt = async (p: number, into: Map<string, Size>): Promise<void> => {
    for (const name of [cmdStream(p), evtStream(p)]) {
      const { state, config } = await jsm.streams.info(name);
      into.set(name, { bytes: state.bytes, maxBytes: config.max_bytes });
      const position = positions.get(p);
      if (name === cmdStream(p) && position !== undefined)
        backlogs.set(p, Math.max(0, state.last_seq - position));
    }
  };

  const look = async (): Promise<void> => {
    const owned = deps.ownedPartitions();
    for (const open of deps.openPartitions()) positions.set(open.p, open.cmdSeq);
    for (const p of positions.keys()) if (!owned.includes(p)) positions.delete(p);
    backlogs.clear();
    const found = new Map<string, Size>();
    const looks = await Promise.allSettled(owned.map((p) => lookAt(p, found)));
    const failed = looks.find((one) => one.status === 'rejected');
    if (failed !== undefined) log.debug({ reason: reasonOf(failed.reason) }, 'a stream cannot be looked at');
    sizes = found;
  };

  const again = async (): Promise<void> => {
    await look();
    const waitMs = sizes.size === 0 ? FIRST_LOOK_MS : (deps.everyMs ?? LOOK_EVERY_MS);
    if (!isStopped) timer = setTimeout(() => void again(), waitMs);
  };

  const publish = (name: `chat_${string}`, help: string, read: (size: Size) => number): void => {
    metrics.gauge({
      name,
      help,
      labelNames: ['stream'],
      collect() {
        this.reset();
        for (const [stream, size] of sizes) this.set({ stream }, read(size));
      },
    });
  };
  publish('chat_stream_bytes', 'Size of the stream.', ({ bytes }) => bytes);
  publish('chat_stream_max_bytes', 'Its bound; -1: none.', ({ maxBytes }) => maxBytes);

  return {
    start: () => {
      if (timer === undefined) timer = setTimeout(() => void again(), FIRST_LOOK_MS);
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
    backlogs,
  };
};
