/**
 * One client's session with whichever gateway serves it: a state machine without I/O. Inputs and the time
 * come in, effects go out; the shell (chat-client.ts) runs the effects in their order.
 *
 *   idle ─start─► connecting ─welcome─► replaying ─head reached─► [snapshot ─done─►] live
 *                     ▲                     │ any of them: socket lost, silence, drain slot
 *                     └──── waiting ◄───────┘           stopped: by the caller, or close code 4500–4999
 *
 * Invariants
 * - The cursor moves by applied events and by ticks only, and never back within an epoch; an event at or
 *   below it is not applied again.
 * - A command leaves the outbox only by `persisted`, by a final rejection, or by its own event in the log.
 * - A snapshot that was asked for stays owed until it is done, across any number of reconnects.
 */

import type { EventElement } from '@chat/contracts/events';
import type { Cursor, ServerFrame, WelcomeFrame } from '@chat/contracts/frames';
import type { UserId } from '@chat/contracts/ids';
import { closeCodeMeansReconnect, closeCodes } from '@chat/contracts/protocol';
import { backoffMs } from './backoff.ts';
import { RECONNECT_MAX_MS } from '@chat/contracts/limits';
import { type Outbox, frameOf } from './outbox.ts';
import { readEvents } from './read-events.ts';
import { createReauth } from './reauth.ts';
import type {
  ConnectionState,
  ResumePoint,
  SessionEffect,
  SessionInput,
  StopReason,
  Verdict,
  WaitCause,
} from './session-types.ts';

/** From opening the socket to `welcome`; above the gateway's bounded waits at hello. */
export const WELCOME_TIMEOUT_MS = 15_000;
/**
 * A session earns trust back by the second: each that it lived takes back one failure. So a client that is cut every few
 * seconds is back within the base delay, and one whose sessions end at once waits ever longer.
 */
export const FORGIVE_ONE_MS = 1_000;
/** More in a row change no delay: 2^5 s is beyond the longest. */
const FAILURES_MAX_COUNT = 5;
/** A session that lived this long was a good one whatever was before: the next wait starts from the base again. */
export const STABLE_AFTER_MS = FAILURES_MAX_COUNT * FORGIVE_ONE_MS;
/** At most one `ack` in this time. */
export const ACK_EVERY_MS = 1_000;
/** Pending commands wait this long for the replay, which may hold their outcome, before they go again. */
export const REPLAY_HOLD_MS = 2_000;
/** Used until `welcome` names the gateway's bound. */
const IN_FLIGHT_DEFAULT_COUNT = 32;

type Deps = {
  readonly gatewayUrls: readonly string[];
  readonly device?: string;
  readonly random: () => number;
  readonly outbox: Outbox;
  readonly resumeFrom: ResumePoint;
};

const causeOf = (closeCode: number, isNamed: boolean): WaitCause => {
  if (closeCode === closeCodes.DRAINING) return 'draining';
  if (closeCode === closeCodes.TOKEN_EXPIRED) return 'token';
  return isNamed || closeCode === closeCodes.OVERLOADED ? 'busy' : 'lost';
};

export type SessionCore = ReturnType<typeof createSessionCore>;

export const createSessionCore = ({ gatewayUrls, device, random, outbox, resumeFrom }: Deps) => {
  let state: ConnectionState = { kind: 'idle' };
  let cursor: Cursor | undefined = resumeFrom.cursor;
  let userId: UserId | undefined = resumeFrom.userId;
  let gatewayIndex = 0;
  let failureCount = 0;
  let renewToken = false;
  let welcome: WelcomeFrame | undefined;
  let welcomeAtMs = 0;
  let openedAtMs = 0;
  let lastHeardMs = 0;
  let waitUntilMs = 0;
  let moveAtMs: number | undefined;
  /** A gateway that refused the session named the time before which none is to be tried. */
  let notBeforeMs = 0;
  const reauth = createReauth(random);
  let ackedSeq = 0;
  let ackAtMs = 0;
  let snapshotId = 0;
  /** `owed` from the beginning: a new process has an empty store whatever its cursor says. */
  let snapshot: 'owed' | 'running' | 'done' = 'owed';
  let effects: SessionEffect[] = [];

  const hasSession = (): boolean =>
    state.kind === 'replaying' || state.kind === 'snapshot' || state.kind === 'live';
  const setState = (next: ConnectionState): void => {
    if (next.kind === state.kind && next.kind !== 'waiting' && next.kind !== 'connecting') return;
    state = next;
    effects.push({ kind: 'state', state });
  };

  const connect = (nowMs: number): void => {
    const gatewayUrl = gatewayUrls[gatewayIndex % gatewayUrls.length] ?? '';
    openedAtMs = nowMs;
    setState({ kind: 'connecting', gatewayUrl });
    effects.push({ kind: 'open', gatewayUrl, renewToken });
    renewToken = false;
  };

  const endSession = (): void => {
    welcome = undefined;
    moveAtMs = undefined;
    reauth.ended();
    outbox.sessionEnded();
    gatewayIndex += 1;
  };

  const waitThenConnect = (nowMs: number, delayMs: number, cause: WaitCause, reason: string): void => {
    endSession();
    waitUntilMs = nowMs + delayMs;
    setState({ kind: 'waiting', retryInMs: delayMs, cause, reason });
    effects.push({ kind: 'save', urgent: true });
  };

  const lose = (nowMs: number, cause: WaitCause, reason: string): void => {
    const forgivenCount = welcome ? Math.floor((nowMs - welcomeAtMs) / FORGIVE_ONE_MS) : 0;
    failureCount = Math.max(0, failureCount - forgivenCount);
    const namedMs = Math.min(Math.max(0, notBeforeMs - nowMs), RECONNECT_MAX_MS);
    notBeforeMs = 0;
    // The jitter comes on top of a named time: it was named to all who were refused at once.
    const delayMs = namedMs + backoffMs(failureCount, random);
    failureCount = Math.min(failureCount + 1, FAILURES_MAX_COUNT);
    waitThenConnect(nowMs, delayMs, cause, reason);
  };

  const stop = (reason: StopReason): void => {
    endSession();
    // The shell gives up the reads of a client that is stopped: a later start owes them again.
    if (snapshot === 'running') snapshot = 'owed';
    setState({ kind: 'stopped', reason });
    effects.push({ kind: 'save', urgent: true });
  };

  const closed = (nowMs: number, closeCode: number, message: string): void => {
    if (state.kind !== 'connecting' && !hasSession()) return;
    if (!closeCodeMeansReconnect(closeCode)) return stop({ kind: 'closed', closeCode, message });
    if (closeCode === closeCodes.TOKEN_EXPIRED) renewToken = true;
    // A gateway that told us its drain slot and went before it: keep to the slot.
    const slotMs = moveAtMs === undefined ? undefined : Math.max(0, moveAtMs - nowMs);
    if (slotMs !== undefined) {
      return waitThenConnect(nowMs, slotMs, 'draining', 'the gateway is shutting down');
    }
    lose(nowMs, causeOf(closeCode, notBeforeMs > nowMs), message || `connection closed (${closeCode})`);
  };

  const drop = (nowMs: number, closeCode: number, reason: string): void => {
    effects.push({ kind: 'close', closeCode, message: reason });
    lose(nowMs, 'lost', reason);
  };

  const settlePhase = (): void => {
    if (!welcome || !cursor) return;
    if (welcome.resume === 'replayed' && cursor.seq < welcome.head) setState({ kind: 'replaying' });
    else setState({ kind: snapshot === 'done' ? 'live' : 'snapshot' });
  };

  const startSnapshot = (epoch: string, head: number, reason: string): void => {
    snapshotId += 1;
    snapshot = 'running';
    effects.push({ kind: 'snapshot', snapshotId, epoch, head, reason });
  };

  const welcomed = (nowMs: number, frame: WelcomeFrame): void => {
    if (state.kind !== 'connecting') return;
    if (userId !== undefined && frame.userId !== userId) {
      effects.push({ kind: 'close', closeCode: 1000, message: 'another user' });
      return stop({ kind: 'user_changed' });
    }
    const isNewEpoch = cursor !== undefined && cursor.epoch !== frame.epoch;
    userId = frame.userId;
    welcome = frame;
    welcomeAtMs = nowMs;
    effects.push({ kind: 'welcome', userId, epoch: frame.epoch, isNewEpoch });
    if (frame.resume !== 'replayed' || isNewEpoch || !cursor) {
      cursor = { epoch: frame.epoch, seq: frame.head };
      startSnapshot(frame.epoch, frame.head, frame.reason ?? frame.resume);
    } else {
      effects.push({ kind: 'resumed', fromSeq: cursor.seq, head: frame.head });
      if (snapshot === 'owed') startSnapshot(frame.epoch, frame.head, 'fresh');
    }
    // A snapshot that still runs from the last session stays good: what came since is replayed over it.
    ackedSeq = cursor.seq;
    settlePhase();
    effects.push({ kind: 'save', urgent: false });
  };

  const settle = (verdict: Verdict): void => {
    if (!outbox.settle(verdict.id)) return;
    effects.push({ kind: 'verdict', verdict }, { kind: 'save', urgent: true });
  };

  const settleByEvent = (event: EventElement): void => {
    if (event.actor !== userId || !outbox.get(event.commandId)) return;
    if (event.type === 'command.rejected') {
      const { code, message } = event.data;
      settle({ kind: 'rejected', id: event.commandId, seq: event.seq, code, message });
    } else settle({ kind: 'persisted', id: event.commandId, seq: event.seq, duplicate: false });
  };

  const advance = (nowMs: number, seq: number): void => {
    if (!cursor || seq <= cursor.seq) return;
    cursor = { epoch: cursor.epoch, seq };
    if (ackAtMs <= nowMs) ackAtMs = nowMs + ACK_EVERY_MS;
    effects.push({ kind: 'save', urgent: false });
    if (state.kind === 'replaying') settlePhase();
  };

  const applyEvents = (nowMs: number, events: readonly EventElement[]): void => {
    if (!cursor) return;
    let last = cursor.seq;
    const fresh = events.filter((event) => event.seq > last && (last = event.seq) > 0);
    const { events: read, newer } = readEvents(fresh);
    if (read.length > 0) effects.push({ kind: 'apply', events: read });
    if (outbox.size() > 0) read.forEach(settleByEvent);
    advance(nowMs, read.at(-1)?.seq ?? 0);
    if (!newer) return;
    effects.push({ kind: 'close', closeCode: 1000, message: 'outdated' });
    stop({ kind: 'outdated', type: newer.type, version: newer.v });
  };

  const rejected = (nowMs: number, frame: Extract<ServerFrame, { t: 'rejected' }>): void => {
    const entry = outbox.get(frame.id);
    if (!entry) return;
    if (frame.seq === undefined && frame.retryable) {
      const { id, code } = frame;
      const retryInMs = outbox.retryLater(id, nowMs, frame.retryAfterMs);
      effects.push({ kind: 'held', held: { id, code, retryInMs } });
      return;
    }
    // Refused before the log, yet an earlier send of it may stand in the log: only the writer can tell.
    if (frame.seq === undefined && (entry.mayBeStored || entry.attemptCount > 1)) {
      outbox.resolving(frame.id);
      effects.push({ kind: 'resolve', id: frame.id });
      return;
    }
    const { id, seq, code, message } = frame;
    settle({ kind: 'rejected', id, ...(seq === undefined ? {} : { seq }), code, message });
  };

  const erred = (nowMs: number, frame: Extract<ServerFrame, { t: 'error' }>): void => {
    if (frame.code === 'AUTH_TOKEN_EXPIRED') renewToken = true;
    if (frame.code === 'UNAVAILABLE') reauth.unchecked(nowMs, frame.retryAfterMs);
    if (state.kind === 'connecting' && frame.retryable) notBeforeMs = nowMs + (frame.retryAfterMs ?? 0);
    effects.push({ kind: 'signal', frame });
  };

  const heard = (nowMs: number, frame: ServerFrame): void => {
    lastHeardMs = nowMs;
    if (frame.t === 'welcome') return welcomed(nowMs, frame);
    if (frame.t === 'error') return erred(nowMs, frame);
    if (!hasSession()) return;
    switch (frame.t) {
      case 'events':
        return applyEvents(nowMs, frame.events);
      case 'tick':
        return advance(nowMs, frame.seq);
      case 'accepted':
        return outbox.accepted(frame.id, nowMs);
      case 'persisted':
        return settle({
          kind: 'persisted',
          id: frame.id,
          seq: frame.seq,
          duplicate: frame.duplicate === true,
        });
      case 'rejected':
        return rejected(nowMs, frame);
      case 'draining':
        moveAtMs = nowMs + frame.reconnectAfterMs;
        return void effects.push({ kind: 'signal', frame });
      case 'typing':
      case 'presence':
        return void effects.push({ kind: 'signal', frame });
      case 'pong':
        return;
    }
  };

  const deadlines = (): readonly (number | undefined)[] => {
    if (state.kind === 'waiting') return [waitUntilMs];
    if (state.kind === 'connecting') return [openedAtMs + WELCOME_TIMEOUT_MS];
    if (!welcome || !cursor) return [];
    const silentAtMs = lastHeardMs + 2 * welcome.heartbeatMs + 1;
    return [silentAtMs, moveAtMs, reauth.atMs(), cursor.seq > ackedSeq ? ackAtMs : undefined];
  };

  const mayFlush = (nowMs: number): boolean =>
    hasSession() && (state.kind !== 'replaying' || nowMs - welcomeAtMs >= REPLAY_HOLD_MS);
  const inFlightMaxCount = (): number => welcome?.limits.inFlightMaxCount ?? IN_FLIGHT_DEFAULT_COUNT;

  /** Whatever is due at `nowMs`: at the end of every input. */
  const runDue = (nowMs: number): void => {
    if (state.kind === 'waiting' && nowMs >= waitUntilMs) connect(nowMs);
    else if (state.kind === 'connecting' && nowMs >= openedAtMs + WELCOME_TIMEOUT_MS) {
      drop(nowMs, 1000, 'no welcome in time');
    }
    if (!welcome || !cursor) return;
    if (nowMs - lastHeardMs > 2 * welcome.heartbeatMs) {
      return drop(nowMs, closeCodes.HEARTBEAT_LOST, 'nothing heard from the gateway');
    }
    if (moveAtMs !== undefined && nowMs >= moveAtMs) {
      effects.push({ kind: 'close', closeCode: 1000, message: 'moving on' });
      failureCount = 0;
      endSession();
      return connect(nowMs);
    }
    if (reauth.takeDue(nowMs)) effects.push({ kind: 'reauth' });
    if (mayFlush(nowMs)) {
      for (const command of outbox.takeDue(nowMs, inFlightMaxCount())) {
        effects.push({ kind: 'send', frame: { t: 'cmd', ...frameOf(command) } });
      }
    }
    if (cursor.seq > ackedSeq && nowMs >= ackAtMs) {
      ackedSeq = cursor.seq;
      effects.push({ kind: 'send', frame: { t: 'ack', seq: cursor.seq } });
    }
  };

  const start = (nowMs: number): void => {
    if (state.kind !== 'idle' && state.kind !== 'stopped') return;
    failureCount = 0;
    connect(nowMs);
  };

  const react = (input: SessionInput, nowMs: number): void => {
    switch (input.kind) {
      case 'start':
        return start(nowMs);
      case 'stop':
        if (state.kind === 'stopped') return;
        effects.push({ kind: 'close', closeCode: 1000, message: 'bye' });
        return stop({ kind: 'by_caller' });
      case 'opened':
        lastHeardMs = nowMs;
        reauth.began(nowMs, input.tokenLeftMs);
        effects.push({
          kind: 'send',
          frame: { t: 'hello', ...(device ? { device } : {}), ...(cursor ? { cursor } : {}) },
        });
        return;
      case 'closed':
        return closed(nowMs, input.closeCode, input.message);
      case 'frame':
        return heard(nowMs, input.frame);
      case 'snapshot_done':
        if (input.snapshotId !== snapshotId || snapshot !== 'running') return;
        snapshot = 'done';
        return settlePhase();
      case 'epoch_stale':
        snapshot = 'owed';
        if (hasSession()) drop(nowMs, 1000, 'the epoch changed');
        return;
      case 'resolved':
        return settle(input.verdict);
      case 'unresolved':
        return void outbox.retryLater(input.id, nowMs, undefined);
      case 'reauth_sent':
        return reauth.sent(nowMs, input.tokenLeftMs);
      case 'reauth_failed':
        return reauth.failed(nowMs);
      case 'nudge':
        if (state.kind === 'waiting') waitUntilMs = nowMs;
        return;
      case 'wake':
        return;
    }
  };

  return {
    handle: (input: SessionInput, nowMs: number): readonly SessionEffect[] => {
      effects = [];
      react(input, nowMs);
      runDue(nowMs);
      return effects;
    },
    /** When to call `handle({kind: 'wake'})` at the latest; undefined: nothing waits for time. */
    nextWakeMs: (nowMs: number): number | undefined => {
      const times = [...deadlines()];
      if (hasSession() && outbox.size() > 0) {
        const held = state.kind === 'replaying' ? welcomeAtMs + REPLAY_HOLD_MS : 0;
        const due = outbox.nextDueMs(nowMs, inFlightMaxCount());
        if (due !== undefined) times.push(Math.max(due, held));
      }
      const set = times.filter((time) => time !== undefined);
      return set.length === 0 ? undefined : Math.min(...set);
    },
    state: (): ConnectionState => state,
    cursor: (): Cursor | undefined => cursor,
    userId: (): UserId | undefined => userId,
    heartbeatMs: (): number | undefined => welcome?.heartbeatMs,
  };
};
