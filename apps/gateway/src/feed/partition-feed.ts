/**
 * Keeps one partition's tail fed by ONE ordered push feed, never a consumer per client.
 *
 * - Opens at max(first, last − fill + 1) of the stream; `following` once what stood there at opening is in the tail.
 * - A missing stream is waited for. A stream that was wiped and filled again under the same epoch and numbers changes
 *   nothing: the feed goes on from last + 1.
 * - What comes first after a reset of the feed is not flushed until the stream's epoch is known to be the same (`isHeld`):
 *   the stream may be another one. Another epoch drops the tail, closes the sessions and opens anew.
 * - A hole in the stream (purged, expired) ends the continuity the sessions were promised: they are closed and come
 *   back with their cursors.
 */

import { evtStream } from '@chat/contracts/streams';
import { closeCodes } from '@chat/contracts/protocol';
import type { CheckResult } from '@chat/platform/health';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type FeedReset, type OrderedFeed, createOrderedFeed } from '@chat/platform/nats/ordered-feed';
import {
  type ExistingStreamState,
  type StreamState,
  getMessage,
  streamState,
} from '@chat/platform/nats/streams';
import type { DeliveryTraces } from './delivery-traces.ts';
import { peekSeq } from './event-peek.ts';
import type { Partition } from './partition.ts';

/** How often a missing stream is looked for, and an unverified epoch asked for again. */
const RETRY_MS = 500;
/** How often the end of the stream is compared with the feed, unless `behindMaxMs` asks for more. */
const CHECK_EVERY_MS = 5_000;

export type PartitionFeedDeps = {
  readonly partition: Partition;
  readonly nats: NatsHandle;
  readonly namePrefix: string;
  readonly fillCount: number;
  readonly behindMaxMs: number;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** There is something to flush. */
  readonly onEvents: (partition: Partition) => void;
  /** The sessions of the partition must go. */
  readonly closeSessions: (partition: Partition, code: number, reason: string) => void;
  /** Undefined: tracing is off. */
  readonly traces?: DeliveryTraces | undefined;
};

export type PartitionFeed = {
  start(): void;
  stop(): Promise<void>;
  check(): CheckResult;
};

export const createPartitionFeed = (deps: PartitionFeedDeps): PartitionFeed => {
  const { partition, nats, log, nowMs } = deps;
  const stream = evtStream(partition.index);
  let feed: OrderedFeed | undefined;
  let fillTarget = 0;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  let isVerifying = false;
  let mustVerify = false;
  /** Grows with each opening: what an older one still delivers or answers is ignored. */
  let generation = 0;
  let lastSeqAtCheck = 0;
  /** Where the feed stood at the last look although the stream went further; -1 when it did not. */
  let standsAtSeq = -1;
  const checkEveryMs = Math.min(CHECK_EVERY_MS, deps.behindMaxMs / 3);

  const later = (fn: () => Promise<void>, ms: number): void => {
    clearTimeout(timer);
    if (!isStopped) timer = setTimeout(() => void fn(), ms);
  };

  const askState = async (): Promise<StreamState | undefined> => {
    try {
      return await streamState(nats.jsm, stream);
    } catch (error) {
      log.warn({ stream, reason: reasonOf(error) }, 'the state of the stream cannot be read');
      return undefined;
    }
  };

  const open = async (): Promise<void> => {
    const mine = generation;
    const state = await askState();
    if (isStopped || mine !== generation) return;
    if (!state?.exists) return later(open, RETRY_MS);
    if (!state.epoch) {
      partition.reason = `${stream} carries no epoch`;
      return later(open, RETRY_MS);
    }
    // A stream that never held anything names 0 as its first.
    const startSeq = Math.max(1, state.firstSeq, state.lastSeq - deps.fillCount + 1);
    partition.restart(state.epoch, startSeq);
    partition.isHeld = false;
    partition.status = 'filling';
    partition.reason = 'the tail is being filled';
    fillTarget = state.lastSeq;
    lastSeqAtCheck = state.lastSeq;
    generation += 1;
    mustVerify = false;
    feed = feedFrom(startSeq, generation);
    if (startSeq > fillTarget) nowFollowing();
    later(checkEnd, checkEveryMs);
    await feed.start();
  };

  const feedFrom = (startSeq: number, mine: number): OrderedFeed =>
    createOrderedFeed({
      ...nats,
      stream,
      startSeq,
      namePrefix: `${deps.namePrefix}_${partition.index}`,
      onMessage: (msg) => {
        if (mine !== generation) return;
        if (deps.traces !== undefined) deps.traces.received(partition, msg);
        receive(msg.seq, msg.subject, msg.data);
      },
      onGap: (expected, got) => {
        if (mine === generation) skip(expected, got);
      },
      onReset: (reason) => {
        if (mine === generation) onReset(reason);
      },
      log,
    });

  const nowFollowing = (): void => {
    partition.status = 'following';
    partition.reason = '';
    partition.followedAtMs = nowMs();
    log.info(
      { stream, firstSeq: partition.tail.firstSeq, lastSeq: partition.tail.lastSeq },
      'tail is filled',
    );
  };

  const receive = (seq: number, subject: string, data: Uint8Array): void => {
    if (partition.status === 'halted') return;
    if (mustVerify) holdUntilVerified();
    const bytes = data instanceof Buffer ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    if (peekSeq(bytes) !== seq) return halt(seq);
    if (seq !== partition.tail.lastSeq + 1) {
      if (seq <= partition.tail.lastSeq) return;
      skip(partition.tail.lastSeq + 1, seq);
    }
    partition.tail.push(seq, subject, bytes, nowMs(), partition.flushedSeq + 1);
    if (partition.status === 'filling') {
      // Nobody is here yet: what the fill brings counts as flushed.
      partition.flushedTo(seq);
      if (seq >= fillTarget) nowFollowing();
      return;
    }
    // Held for long (nobody answers what the epoch is): the stream keeps the rest.
    if (partition.isHeld && partition.tail.isOverfull) feed?.pause();
    deps.onEvents(partition);
  };

  /** The payload names another number than the stream: `seq = id` is broken, nothing may be trusted. */
  const halt = (seq: number): void => {
    partition.status = 'halted';
    partition.reason = `${stream} holds at ${seq} an event of another number`;
    log.error({ stream, seq }, 'the payload of an event contradicts its sequence: partition halted');
    deps.closeSessions(partition, closeCodes.GATEWAY_BEHIND, 'partition halted');
  };

  const skip = (expected: number, got: number): void => {
    if (got <= partition.tail.lastSeq + 1) return;
    log.warn({ stream, expected, got }, 'the stream has a hole: its sessions start again');
    deps.closeSessions(partition, closeCodes.GATEWAY_BEHIND, 'events are missing');
    partition.restart(partition.epoch, got);
    if (partition.status === 'filling' && got > fillTarget) nowFollowing();
  };

  const onReset = (reason: FeedReset): void => {
    mustVerify = true;
    if (reason === 'stream_recreated' || reason === 'stream_behind') holdUntilVerified();
  };

  const holdUntilVerified = (): void => {
    mustVerify = false;
    partition.isHeld = true;
    if (!isVerifying) void verify();
  };

  const verify = async (): Promise<void> => {
    isVerifying = true;
    const mine = generation;
    const state = await askState();
    isVerifying = false;
    if (isStopped || !partition.isHeld) return;
    // The answer is about what was before the last opening.
    if (mine !== generation) return void verify();
    if (!state?.exists) {
      setTimeout(() => !isStopped && !isVerifying && void verify(), RETRY_MS);
      return;
    }
    if (await hasNewEpoch(state)) return;
    partition.isHeld = false;
    feed?.resume();
    deps.onEvents(partition);
  };

  /** Whoever sees the new epoch first opens anew; the new generation ends what else is in flight. */
  const hasNewEpoch = async (state: ExistingStreamState): Promise<boolean> => {
    if (state.epoch === partition.epoch) return false;
    log.warn({ stream, from: partition.epoch, to: state.epoch }, 'the partition has a new epoch');
    generation += 1;
    partition.status = 'waiting';
    partition.reason = 'the partition has a new epoch';
    deps.closeSessions(partition, closeCodes.EPOCH_CHANGED, 'new epoch');
    const old = feed;
    feed = undefined;
    await old?.stop();
    later(open, 0);
    return true;
  };

  /** Compares the feed with the end of the stream: tells a silent partition from one that cannot be followed. */
  const checkEnd = async (): Promise<void> => {
    const mine = generation;
    const state = await askState();
    // Opened anew meanwhile: the opening has set its own check.
    if (isStopped || mine !== generation) return;
    if (state?.exists) {
      if (partition.status !== 'halted' && (await hasNewEpoch(state))) return;
      const { lastSeq } = partition.tail;
      if (lastSeq >= Math.min(lastSeqAtCheck, state.lastSeq) && !partition.isHeld)
        partition.followedAtMs = nowMs();
      lastSeqAtCheck = state.lastSeq;
      if (await isEndMissing(state)) {
        if (isStopped || mine !== generation) return;
        skip(partition.tail.lastSeq + 1, state.lastSeq + 1);
      }
    }
    if (isBehind()) deps.closeSessions(partition, closeCodes.GATEWAY_BEHIND, 'the gateway cannot follow');
    partition.tail.forgetOlderThan(nowMs(), partition.flushedSeq + 1);
    later(checkEnd, checkEveryMs);
  };

  /**
   * Whether events at the *end* of the stream were removed before they were read (a purge, a deletion): no later one comes
   * to show the hole. Suspected when the feed stands still behind the end for two looks; the stream's leader then tells
   * whether anything follows.
   */
  const isEndMissing = async (state: ExistingStreamState): Promise<boolean> => {
    const { lastSeq } = partition.tail;
    const isStill = standsAtSeq === lastSeq;
    standsAtSeq = lastSeq < state.lastSeq ? lastSeq : -1;
    if (!isStill || standsAtSeq < 0 || partition.isHeld || partition.status === 'halted') return false;
    const query = { fromSeq: lastSeq + 1, subject: `evt.${partition.index}.>` };
    try {
      const next = await getMessage(nats.jsm, stream, query);
      return next === undefined && partition.tail.lastSeq === lastSeq;
    } catch (error) {
      log.warn({ stream, reason: reasonOf(error) }, 'what follows in the stream cannot be read');
      return false;
    }
  };

  const isBehind = (): boolean => nowMs() - partition.followedAtMs > deps.behindMaxMs;

  return {
    start: () => void open(),
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await feed?.stop();
    },
    check: () => {
      if (partition.status !== 'following') return { ok: false, reason: `${stream}: ${partition.reason}` };
      return isBehind() ? { ok: false, reason: `${stream} cannot be followed` } : { ok: true };
    },
  };
};
