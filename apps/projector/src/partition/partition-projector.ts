/**
 * One partition of the log into one version of one view, in order, for ever.
 *
 * States: starting → (filling →) following ⇄ (waiting | halted) → stopped.
 * - starting, waiting: looking for the place to go on (findStart); a server does not answer, or the stream is not there.
 * - following: events the stream no longer has come from event_log first, then the ordered feed fills a bounded buffer,
 *   and one batch after the other is applied in one transaction with the checkpoint. Trouble of the store: the same
 *   batch again, for ever. A hole further on in the stream (an operator removed or purged messages, or they expired
 *   before they were read) ends the following; the next one begins with the hole, from event_log.
 * - halted: an event that is not understood, or another history. Loud, not ready; looked at again every HALT_RECHECK_MS.
 * Any doubt (gap, stream made anew, checkpoint elsewhere) drops the buffer and starts again from the checkpoint.
 *
 * Crash points: before the commit nothing happened; after it the membership view may lack the batch, which the
 * members publisher finds at the next start (its position is behind the checkpoint).
 *
 * A version without a checkpoint begins at event 1, and what is far behind the stream's end is read from event_log
 * (`fill`): that is how a version is built.
 */

import { evtStream } from '@chat/contracts/streams';
import type { Clock } from '@chat/platform/clock';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type OrderedFeed, createOrderedFeed } from '@chat/platform/nats/ordered-feed';
import { streamState } from '@chat/platform/nats/streams';
import { pause } from '@chat/platform/resilience/backoff';
import { onceAsync } from '@chat/platform/service';
import { HEADER_TRACEPARENT, type Tracer } from '@chat/platform/tracing';
import { touchedMembers } from '@chat/read-model/fold';
import type { VersionId } from '@chat/read-model/catalog/view-store';
import { type EventBatch, LogFault, type ProjectionTarget, type ReadEvent } from '@chat/read-model/port';
import type { MembersPublisher } from '../membership/members-publisher.ts';
import type { FillTurns } from '../rebuild/fill-turns.ts';
import { applyUntilTaken } from './apply-until-taken.ts';
import { EventFault, type RawEvent, decodeBatch, payloadDigest } from './decode-event.ts';
import { type BufferBounds, EventBuffer } from './event-buffer.ts';
import type { EventLog } from './event-log.ts';
import { feedTrouble } from './feed-trouble.ts';
import { halveOnFault } from './halve-on-fault.ts';
import { type Lag, LagMeter } from './lag.ts';
import { logPages } from './log-pages.ts';
import { Signal } from './signal.ts';
import { findStart } from './start-position.ts';

export type PartitionProjectorDeps = {
  readonly partition: number;
  readonly instance: string;
  readonly nats: NatsHandle;
  readonly id: VersionId;
  readonly target: ProjectionTarget;
  readonly eventLog: EventLog;
  /** While the version is being built: it is filled from event_log as long as it is far behind. */
  readonly fill?: (() => FillTurns | undefined) | undefined;
  readonly batch: BufferBounds;
  readonly buffer: BufferBounds;
  readonly batchIntervalMs: number;
  /** How long an idle partition trusts that the store is where it left it, and that the stream has nothing more. */
  readonly idleCheckMs: number;
  readonly stats: PartitionStats;
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type PartitionStats = {
  applied(batch: {
    readonly eventCount: number;
    readonly foreignCount: number;
    readonly durationMs: number;
  }): void;
};

export type PartitionState = {
  readonly ok: boolean;
  readonly state: 'starting' | 'waiting' | 'filling' | 'following' | 'halted' | 'stopped';
  readonly reason?: string;
  /** Last applied event. */
  readonly seq: number;
  /** Events known to be behind it; undefined while that cannot be told. */
  readonly lagCount?: number;
};

export type PartitionProjector = {
  start(): Promise<void>;
  stop(): Promise<void>;
  /**
   * From now on what is applied is noted there, and first how far it is; undefined: nowhere. What was applied before
   * is the publisher's own to find (its position in the stream is behind).
   */
  publishTo(members: MembersPublisher | undefined): void;
  state(): PartitionState;
  lag(): Lag;
};

const WAIT_RECHECK_MS = 250;
const HALT_RECHECK_MS = 5_000;
/** Nearer to the end of the stream the feed is the quicker way. */
const FILL_MIN_COUNT = 5_000;

/** Why the present following ends: look for the start again. */
type Doubt = 'gap' | 'stream' | 'checkpoint';

export const createPartitionProjector = (deps: PartitionProjectorDeps): PartitionProjector => {
  const { partition, nats, target, eventLog, tracer } = deps;
  const { view, version } = deps.id;
  const log = deps.log.child({ view, version });
  const stream = evtStream(partition);
  const abort = new AbortController();
  const { signal } = abort;
  const buffer = new EventBuffer(deps.buffer);
  const wake = new Signal();
  const lag = new LagMeter();
  let state: PartitionState['state'] = 'starting';
  let reason: string | undefined;
  let appliedSeq = 0;
  /** Of `appliedSeq`; undefined until the place to go on was found. */
  let appliedEpoch: string | undefined;
  let members: MembersPublisher | undefined;
  let storeTrouble: string | undefined;
  let feed: OrderedFeed | undefined;
  let doubt: Doubt | undefined;
  /** What the stream lacks ends before this sequence. */
  let holeEndSeq = 0;
  /** Where the stream was ahead of us at the last look while nothing came. */
  let suspectedAtSeq: number | undefined;
  let running: Promise<void> = Promise.resolve();

  const setState = (next: PartitionState['state'], why?: string): void => {
    if (next === state && why === reason) return;
    state = next;
    reason = why;
    if (next === 'halted') log.error({ partition, reason: why }, 'partition halted');
    else if (why !== undefined) log.warn({ partition, state: next, reason: why }, 'partition waits');
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await follow();
      } catch (error) {
        if (signal.aborted) break;
        if (error instanceof EventFault || error instanceof LogFault) {
          setState('halted', error.message);
          await pause(HALT_RECHECK_MS, signal);
        } else {
          setState('waiting', reasonOf(error));
          await pause(WAIT_RECHECK_MS, signal);
        }
      }
    }
  };

  /** From the checkpoint on until a doubt, a fault or the end. */
  const follow = async (): Promise<void> => {
    const start = await findStart(deps);
    if (start.kind === 'halt') {
      setState('halted', start.reason);
      return pause(HALT_RECHECK_MS, signal);
    }
    if (start.kind === 'wait') {
      setState('waiting', start.why);
      return pause(WAIT_RECHECK_MS, signal);
    }
    const { epoch, nextSeq, firstInStream, lastInStream } = start;
    // A hole that was seen in a stream that is no more says nothing about this one.
    if (holeEndSeq > lastInStream + 1) holeEndSeq = 0;
    const isFarBehind = deps.fill?.() !== undefined && lastInStream - nextSeq >= FILL_MIN_COUNT;
    const fromStreamSeq = Math.max(firstInStream, holeEndSeq, isFarBehind ? lastInStream + 1 : 0);
    appliedSeq = nextSeq - 1;
    appliedEpoch = epoch;
    lag.restart(lastInStream);
    members?.note([], appliedSeq, epoch);
    if (fromStreamSeq > nextSeq && !(await fillFromLog(epoch, fromStreamSeq))) return;
    // The stream has gone on meanwhile: look again how far.
    if (!isFarBehind) await followFeed(epoch);
  };

  /** The events below `endSeq` from event_log. False: start again. */
  const fillFromLog = async (epoch: string, endSeq: number): Promise<boolean> => {
    log.info({ partition, from: appliedSeq + 1, to: endSeq - 1 }, 'reading events from event_log');
    setState('filling');
    for await (const events of logPages(eventLog, partition, appliedSeq + 1, endSeq, deps.batch.maxBytes)) {
      if (signal.aborted) return false;
      const giveBack = await deps.fill?.()?.take(signal);
      try {
        if (!(await apply(epoch, events))) return false;
      } finally {
        giveBack?.();
      }
    }
    return true;
  };

  const followFeed = async (epoch: string): Promise<void> => {
    buffer.clear();
    doubt = undefined;
    const mine = openFeed();
    feed = mine;
    await mine.start();
    setState('following');
    try {
      await pump(epoch, mine);
    } finally {
      feed = undefined;
      buffer.clear();
      await mine.stop();
    }
  };

  const openFeed = (): OrderedFeed => {
    const raise = (next: Doubt): void => {
      doubt ??= next;
      opened.pause();
      wake.set();
    };
    const opened = createOrderedFeed({
      nc: nats.nc,
      jsm: nats.jsm,
      stream,
      startSeq: appliedSeq + 1,
      namePrefix: `projector_${deps.instance}_${partition}_${view}_v${version}`,
      onMessage: (message) => {
        const { seq, subject, data } = message;
        const trace =
          tracer === undefined
            ? undefined
            : tracer.remote('projector.apply', message.headers?.get(HEADER_TRACEPARENT), { 'chat.seq': seq });
        buffer.push({ seq, subject, data, trace });
        lag.sawHead(seq + (opened.pendingCount() ?? 0));
        if (buffer.isFull()) opened.pause();
        wake.set();
      },
      onGap: (_, got) => {
        holeEndSeq = got;
        raise('gap');
      },
      onReset: (why) => {
        if (why !== 'stream_recreated' && why !== 'stream_behind') return;
        holeEndSeq = 0;
        raise('stream');
      },
      log,
    });
    return opened;
  };

  /** Applies what the buffer holds, batch after batch, until a doubt or the end. */
  const pump = async (epoch: string, mine: OrderedFeed): Promise<void> => {
    let lastBatchMs = 0;
    while (!signal.aborted) {
      // After a gap what stands before it is sound; after a change of the stream nothing is.
      if (doubt !== undefined && (doubt !== 'gap' || buffer.count === 0)) return;
      if (buffer.count === 0) {
        await wake.wait(signal, deps.idleCheckMs);
        if (buffer.count > 0 || doubt !== undefined) continue;
        if ((await storeWasSetBack(epoch)) || (await endIsMissing(mine))) return;
        continue;
      }
      // Under load fewer, larger transactions: they cost the database less than many small ones.
      const sinceMs = performance.now() - lastBatchMs;
      if (sinceMs < deps.batchIntervalMs && !buffer.holdsBatch(deps.batch)) {
        await pause(deps.batchIntervalMs - sinceMs, signal);
      }
      lastBatchMs = performance.now();
      const events = buffer.take(deps.batch);
      if (events.length > 0 && !(await apply(epoch, events))) return;
      if (doubt === undefined && buffer.isHalfEmpty()) mine.resume();
    }
  };

  /**
   * A store that comes back older (restored, or its newest batches lost in a crash: they do not wait for the disk)
   * shows itself with the next batch; where none comes, the checkpoint is looked at. Trouble of the store is no answer.
   */
  const storeWasSetBack = async (epoch: string): Promise<boolean> => {
    try {
      const checkpoint = await target.checkpoint(partition);
      const isBehind = (checkpoint?.seq ?? 0) < appliedSeq;
      const isElse = checkpoint !== undefined && checkpoint.epoch !== epoch;
      if (isBehind || isElse) {
        log.warn({ partition, seq: appliedSeq, stored: checkpoint?.seq ?? 0 }, 'the read store was set back');
      }
      storeTrouble = undefined;
      return isBehind || isElse;
    } catch (error) {
      storeTrouble = reasonOf(error);
      return false;
    }
  };

  /**
   * Of a hole no message comes after (the stream's end was purged or expired before it was read) no feed tells: the
   * stream counts further than it delivers. Twice, so that what is on its way is not taken for lost; should it be, then
   * event_log has the same. No answer is no answer.
   */
  const endIsMissing = async (mine: OrderedFeed): Promise<boolean> => {
    const atSeq = appliedSeq;
    const found = await streamState(nats.jsm, stream).catch(() => undefined);
    const isBehind = found?.exists === true && found.lastSeq > atSeq && mine.silentForMs() === 0;
    const isStill = buffer.count === 0 && doubt === undefined && suspectedAtSeq === atSeq;
    suspectedAtSeq = isBehind ? atSeq : undefined;
    if (isBehind) lag.sawHead(found.lastSeq);
    if (!isBehind || !isStill) return false;
    holeEndSeq = found.lastSeq + 1;
    return true;
  };

  /** False: the store stands elsewhere, start again. Throws on what must not be applied, once all before it is. */
  const apply = async (epoch: string, raws: readonly RawEvent[]): Promise<boolean> => {
    lag.oldest(raws[0]);
    const { events, sound, fault } = decodeBatch(partition, raws);
    const applyAll = (...part: [readonly RawEvent[], readonly ReadEvent[]]) => applySound(epoch, ...part);
    if (sound.length > 0 && !(await halveOnFault(applyAll, sound, events))) return false;
    if (fault === undefined) return true;
    lag.oldest(raws[sound.length]);
    throw fault;
  };

  const onTrouble = (why: string | undefined): void => {
    storeTrouble = why;
  };

  /** One batch, again until the store took it. */
  const applySound = async (
    epoch: string,
    raws: readonly RawEvent[],
    events: readonly ReadEvent[],
  ): Promise<boolean> => {
    const last = raws.at(-1);
    if (!last) return true;
    if (raws.some((raw, at) => raw.seq !== appliedSeq + 1 + at)) {
      throw new EventFault(`a batch that ends at ${last.seq} does not follow ${appliedSeq} without a hole`);
    }
    const batch: EventBatch = {
      partition,
      epoch,
      afterSeq: appliedSeq,
      upTo: last.seq,
      events,
      digest: payloadDigest(last.data),
    };
    await members?.room(signal);
    const beganMs = performance.now();
    const result = await applyUntilTaken({ target, signal, log, onTrouble }, batch);
    if (result.kind !== 'applied') {
      lag.oldest(undefined);
      log.warn(
        { partition, result: result.kind, seq: appliedSeq },
        'the checkpoint is not where it was left',
      );
      return false;
    }
    appliedSeq = batch.upTo;
    lag.oldest(buffer.peek());
    deps.stats.applied({
      eventCount: raws.length,
      foreignCount: raws.length - events.length,
      durationMs: performance.now() - beganMs,
    });
    if (tracer !== undefined) for (const raw of raws) raw.trace?.end({ 'chat.batch': raws.length });
    members?.note(touchedMembers(events), appliedSeq, epoch);
    return true;
  };

  return {
    start: onceAsync(async () => {
      running = run();
    }),
    stop: onceAsync(async () => {
      abort.abort();
      wake.set();
      await running;
      setState('stopped');
    }),
    publishTo: (next) => {
      members = next;
      if (appliedEpoch !== undefined) members?.note([], appliedSeq, appliedEpoch);
    },
    // What waits in the buffer only for its batch's turn counts as well.
    lag: () => {
      if (lag.isIdle()) lag.oldest(buffer.peek());
      return lag.read(appliedSeq, deps.clock.nowMs());
    },
    state: () => {
      const why = storeTrouble ?? reason ?? feedTrouble(feed);
      const ok = why === undefined ? state === 'following' : state === 'waiting' && why === 'stream_missing';
      const pendingCount = feed?.pendingCount();
      return {
        ok,
        state,
        ...(why === undefined ? {} : { reason: why }),
        seq: appliedSeq,
        ...(pendingCount === undefined ? {} : { lagCount: pendingCount + buffer.count }),
      };
    },
  };
};
