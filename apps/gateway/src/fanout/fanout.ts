/**
 * From the tail to the sockets. Events are taken in sequence order; consecutive events of one scope become one frame
 * and one `publish`. Order that must hold:
 * - a `u_` event is published, *then* it changes subscriptions: what came before it reached the old members, what
 *   comes after reaches the new ones;
 * - sessions that lost a frame leave their topics before the next publish (nothing later may overtake the gap);
 * - uWS keeps small frames until the end of the loop's turn; a large one makes it send those and goes out behind them at
 *   once, *also when one of them was dropped*. So no large frame is published behind a small one of the same turn.
 * Bound: one call ends after TURN_MAX_COUNT events, TURN_MAX_BYTES of published events (so no socket gets more) or
 * TURN_WRITE_COUNT frames times sockets; the rest goes on in the next turn, so that sockets are written in between and
 * uWS need not drop. It is frames that cost, not events: a bound on events times sockets would cut the frames of a
 * channel of a thousand members to a few events each.
 */

import { EVENTS_PREFIX, EVENTS_SUFFIX } from '@chat/contracts/frames';
import type { Partition } from '../feed/partition.ts';
import type { GatewayStats } from '../metrics/gateway-stats.ts';
import type { Scope } from '../feed/tail.ts';

const TURN_MAX_COUNT = 20_000;
const TURN_MAX_BYTES = 256 * 1024;
const TURN_WRITE_COUNT = 20_000;
/** A joined frame is closed at this size; a larger single event stands alone. */
const FRAME_JOIN_MAX_BYTES = 60 * 1024;
const SCRATCH_BYTES = 384 * 1024;
/** uWS (20.51, CORK_BUFFER_SIZE) sends frames from this size on at once instead of keeping them. */
const LARGE_FRAME_BYTES = 16 * 1024;

export type FanoutDeps = {
  readonly publish: (topic: string, frame: Uint8Array) => void;
  /** Sees every event before it counts as flushed: pending outcomes and limits. */
  readonly observe: (partition: Partition, seq: number, data: Buffer) => void;
  /** A `u_` event of a user with sessions here; it has just been published. */
  readonly applyUserEvent: (partition: Partition, scope: Scope, seq: number, data: Buffer) => void;
  /** Takes sessions that lost a frame out of their topics; see `Replayer.leaveDropped`. */
  readonly leaveDropped: (mayBeOvertaken: boolean) => void;
  /** All that was observed has been published. */
  readonly handedOver: () => void;
  readonly stats: GatewayStats;
  readonly nowMs: () => number;
};

export type Fanout = {
  /** Flushes what the partition's tail holds; true when there is more for another turn. */
  flush(partition: Partition): boolean;
};

/** Joins encoded events into one `events` frame in a reused buffer. */
export const createFrameJoiner = () => {
  const scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  const prefixLength = scratch.write(EVENTS_PREFIX, 0, 'latin1');
  let length = prefixLength;
  return {
    get isEmpty(): boolean {
      return length === prefixLength;
    },
    /** Whether the event fits in; an empty frame takes any event. */
    fits: (data: Buffer, maxBytes = FRAME_JOIN_MAX_BYTES): boolean =>
      length === prefixLength || length + 1 + data.length + EVENTS_SUFFIX.length <= maxBytes,
    /** Whether a frame of this event alone is a large one. */
    isLarge: (data: Buffer): boolean =>
      prefixLength + data.length + EVENTS_SUFFIX.length >= LARGE_FRAME_BYTES,
    add: (data: Buffer): void => {
      if (length > prefixLength) scratch[length++] = 0x2c;
      scratch.set(data, length);
      length += data.length;
    },
    /** The finished frame, valid until the next `add`. */
    take: (): Uint8Array => {
      const end = length + scratch.write(EVENTS_SUFFIX, length, 'latin1');
      length = prefixLength;
      return scratch.subarray(0, end);
    },
  };
};

export const createFanout = (deps: FanoutDeps): Fanout => {
  const joiner = createFrameJoiner();
  /** Small frames of the present flush were published. */
  let hasKept = false;
  let writeCount = 0;
  /** Events in the frame that is being joined. */
  let runCount = 0;
  /** The last of them. */
  let runSeq = 0;
  const { stats } = deps;

  const endRun = (scope: Scope | undefined, nowMs: number): void => {
    if (scope === undefined || joiner.isEmpty) return;
    scope.publishedAtMs = nowMs;
    scope.publishedSeq = runSeq;
    writeCount += scope.subscriberCount;
    stats.deliveryCount += scope.subscriberCount * runCount;
    runCount = 0;
    const frame = joiner.take();
    const isSmall = frame.length < LARGE_FRAME_BYTES;
    hasKept ||= isSmall;
    deps.publish(scope.subject, frame);
    // uWS keeps 32 frames a socket: the next small one makes it send those, and is itself kept behind whatever it drops.
    deps.leaveDropped(isSmall);
  };

  const flush = (partition: Partition): boolean => {
    if (partition.isHeld) return false;
    const { tail } = partition;
    const nowMs = deps.nowMs();
    const maxSeq = Math.min(tail.lastSeq, partition.flushedSeq + TURN_MAX_COUNT);
    let publishedBytes = 0;
    writeCount = 0;
    let run: Scope | undefined;
    const fromSeq = partition.flushedSeq;
    let seq = fromSeq;
    hasKept = false;
    deps.leaveDropped(false);
    while (seq < maxSeq && publishedBytes < TURN_MAX_BYTES && writeCount < TURN_WRITE_COUNT) {
      const scope = tail.scopeOf(seq + 1);
      const data = tail.dataOf(seq + 1);
      if (scope.subscriberCount > 0) {
        const maxBytes = hasKept ? LARGE_FRAME_BYTES - 1 : FRAME_JOIN_MAX_BYTES;
        if (scope !== run || !joiner.fits(data, maxBytes)) endRun(run, nowMs);
        // The next turn begins with it; in between uWS sends what it keeps.
        if (joiner.isEmpty && hasKept && joiner.isLarge(data)) break;
        run = scope;
        joiner.add(data);
        runCount += 1;
        runSeq = seq + 1;
        publishedBytes += data.length;
      }
      seq += 1;
      deps.observe(partition, seq, data);
      if (scope.kind === 'u' && scope.sessions.size > 0) {
        endRun(run, nowMs);
        partition.flushedTo(seq);
        deps.applyUserEvent(partition, scope, seq, data);
      }
    }
    endRun(run, nowMs);
    stats.eventCount += seq - fromSeq;
    partition.flushedTo(seq);
    deps.handedOver();
    return seq < tail.lastSeq;
  };

  return { flush };
};
