/**
 * The HTTP entry of commands: the same path as a gateway's (`CMD_<p>` with the same Msg-Id), then the owner of the
 * partition is asked for the outcome. The api decides nothing itself.
 *
 * Steps and what a failure in each means: not stored for sure (window full) → OVERLOADED; not known whether it is
 * stored → the same again until the deadline, then UNAVAILABLE, and the sender repeats the same id; stored, but no
 * outcome in time → `accepted`: it will be decided, and the same id asks again.
 */

import type { CommandWish } from '@chat/contracts/commands';
import { commandMsgId, encodeCommand } from '@chat/contracts/commands';
import type { ErrorCode } from '@chat/contracts/errors';
import type { EventElement, OutcomeReply, OutcomeRequest } from '@chat/contracts/events';
import { type CommandId, type TeamId, type UserId, partitionOf } from '@chat/contracts/ids';
import { cmdSubject, outcomeSubject } from '@chat/contracts/subjects';
import { readStoredEvent } from '@chat/contracts/upcast';
import { cmdStream } from '@chat/contracts/streams';
import type { Clock } from '@chat/platform/clock';
import { commandHash } from '@chat/platform/command-hash';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import type { PubAckResult, WindowedPublisher } from '@chat/platform/nats/publisher';
import { msgIdHeader } from '@chat/platform/nats/raw-headers';
import { getMessage } from '@chat/platform/nats/streams';
import { pause } from '@chat/platform/resilience/backoff';
import type { TraceSpan, Tracer } from '@chat/platform/tracing';

export type Wish = {
  readonly teamId: TeamId;
  readonly id: CommandId;
  readonly actor: UserId;
  readonly name: CommandWish['name'];
  /** Canonical, of `parseCommand`. */
  readonly dataJson: string;
};

export type EntryResult =
  /** `isNew` false: a repeat; the event is the original. */
  | {
      readonly kind: 'persisted';
      readonly seq: number;
      readonly event: EventElement;
      readonly isNew: boolean;
    }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly message: string }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly code: 'UNAVAILABLE' | 'OVERLOADED'; readonly retryAfterMs: number };

export type CommandEntryDeps = {
  readonly nats: Pick<NatsHandle, 'nc' | 'jsm'>;
  readonly publisher: WindowedPublisher;
  readonly waitMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export type CommandEntry = { submit(wish: Wish): Promise<EntryResult> };

/** One question to the owner: short, because an owner that dies takes the question with it. */
const ASK_MS = 1_000;
const ASK_GRACE_MS = 500;
const RETRY_PAUSE_MS = 150;
const RETRY_AFTER_MS = 1_000;
/** Claims matter for as long as a request lasts; when full they are forgotten. */
const CLAIMED_MAX_COUNT = 10_000;

type Stored = { readonly kind: 'stored'; readonly seq: number; readonly duplicate: boolean };
type Refused = Extract<EntryResult, { kind: 'refused' }>;

const refused = (code: Refused['code']): Refused => ({ kind: 'refused', code, retryAfterMs: RETRY_AFTER_MS });

export const createCommandEntry = (deps: CommandEntryDeps): CommandEntry => {
  const { nats, publisher, waitMs, clock, log, tracer } = deps;
  const claimed = new Set<string>();

  const publishOnce = (
    subject: string,
    payload: Uint8Array,
    msgId: string,
    trace: TraceSpan | undefined,
  ): Promise<PubAckResult | 'full'> =>
    new Promise((resolve) => {
      const headers = msgIdHeader(msgId, trace?.traceparent);
      if (!publisher.publish(subject, payload, headers, resolve)) resolve('full');
    });

  const store = async (
    wish: Wish,
    hash: string,
    deadlineMs: number,
    trace: TraceSpan | undefined,
  ): Promise<Stored | Refused> => {
    const { teamId, id, actor, name, dataJson } = wish;
    const payload = Buffer.from(encodeCommand(id, actor, hash, name, clock.nowMs(), dataJson));
    const subject = cmdSubject(teamId, name);
    let isInDoubt = false;
    for (;;) {
      const ack = await publishOnce(subject, payload, commandMsgId(actor, id, hash), trace);
      if (ack === 'full') return refused('OVERLOADED');
      if (ack.kind === 'ok') {
        const { seq, duplicate } = ack;
        const isRepeat = duplicate && !(isInDoubt && (await claim(teamId, seq, payload)));
        return { kind: 'stored', seq, duplicate: isRepeat };
      }
      if (ack.kind === 'error') {
        // The stream is there and says no: it is full, or the server is short of something.
        log.warn(
          { partition: partitionOf(teamId), code: ack.code, commandId: id, traceId: trace?.traceId },
          'a command was not stored',
        );
        return refused('OVERLOADED');
      }
      if (ack.kind === 'closed' || performance.now() + RETRY_PAUSE_MS >= deadlineMs)
        return refused('UNAVAILABLE');
      isInDoubt ||= ack.kind === 'timeout';
      await pause(RETRY_PAUSE_MS);
    }
  };

  /**
   * Our first publish may have been stored although no answer came; the second is then called a duplicate of it. Is what
   * stands there ours? The payload holds when it was sent, so it is unless an equal send came in the same millisecond;
   * of those in this process one claims it. No answer: taken for a repeat, which promises less.
   */
  const claim = async (teamId: TeamId, seq: number, payload: Buffer): Promise<boolean> => {
    const stream = cmdStream(partitionOf(teamId));
    const stored = await getMessage(nats.jsm, stream, { seq }).catch(() => undefined);
    const key = `${stream}/${seq}`;
    if (stored === undefined || !payload.equals(stored.data) || claimed.has(key)) return false;
    if (claimed.size >= CLAIMED_MAX_COUNT) claimed.clear();
    claimed.add(key);
    return true;
  };

  /** Undefined: nobody answered in time. */
  const askOnce = async (subject: string, request: OutcomeRequest): Promise<OutcomeReply | undefined> => {
    try {
      const timeout = request.waitMs + ASK_GRACE_MS;
      const reply = await nats.nc.request(subject, JSON.stringify(request), { timeout });
      return reply.json<OutcomeReply>();
    } catch (error) {
      log.debug({ subject, commandId: request.commandId, reason: reasonOf(error) }, 'no outcome yet');
      return undefined;
    }
  };

  const outcome = async (wish: Wish, hash: string, deadlineMs: number): Promise<OutcomeReply | undefined> => {
    const { teamId, id: commandId, actor } = wish;
    const subject = outcomeSubject(partitionOf(teamId));
    for (;;) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) return undefined;
      const askedAtMs = performance.now();
      const ask = { teamId, commandId, actor, hash, waitMs: Math.ceil(Math.min(ASK_MS, leftMs)) };
      const reply = await askOnce(subject, ask);
      if (reply?.kind === 'persisted' || reply?.kind === 'rejected') return reply;
      // No owner at the moment, or one that cannot write: it may be another one soon.
      if (performance.now() - askedAtMs < RETRY_PAUSE_MS) await pause(Math.min(RETRY_PAUSE_MS, leftMs));
    }
  };

  const submit = async (wish: Wish, trace: TraceSpan | undefined): Promise<EntryResult> => {
    const deadlineMs = performance.now() + waitMs;
    const hash = commandHash(wish.teamId, wish.name, wish.dataJson);
    const stored = await store(wish, hash, deadlineMs, trace);
    if (stored.kind === 'refused') return stored;
    const reply = await outcome(wish, hash, deadlineMs);
    if (reply?.kind === 'persisted') {
      const isNew = reply.cmdSeq === stored.seq && !stored.duplicate;
      // The first event of a command that may have been sent long ago: of any version.
      return { kind: 'persisted', seq: reply.seq, event: readStoredEvent(reply.event), isNew };
    }
    if (reply?.kind === 'rejected') return { kind: 'rejected', code: reply.code, message: reply.message };
    return { kind: 'accepted' };
  };

  return {
    submit: async (wish) => {
      if (tracer === undefined) return submit(wish, undefined);
      const trace = tracer.root('api.command', { 'chat.command': wish.name });
      const result = await submit(wish, trace);
      trace?.end({ 'chat.result': result.kind });
      return result;
    },
  };
};
