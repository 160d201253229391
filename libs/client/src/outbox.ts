/**
 * The commands of this client that have no outcome yet, in the order they were wished.
 *
 * States of an entry:
 *   queued    not on the wire of this session; `retryAtMs` says when it may go (a refusal named a delay)
 *   sent      on the wire, not yet accepted; goes again after RESEND_AFTER_MS of silence
 *   accepted  stored by the broker, not yet persisted; goes again after RESEND_AFTER_MS of silence
 *   resolving refused by a gateway although an earlier send may have been stored: the api is being asked
 *   (gone)    settled by persisted or rejected
 * The end of a session sets all back to queued.
 *
 * Order: entries of one lane (a channel) leave one after another: the next goes only when the one before is
 * accepted. A gateway may refuse A for a moment (rate limit) and accept B a millisecond later; with both on
 * the wire B would overtake A for ever. Lanes do not wait for each other.
 */

import { FRAME_MAX_BYTES, RESEND_AFTER_MS } from '@chat/contracts/limits';
import type { CommandName } from '@chat/contracts/commands';
import { backoffMs } from './backoff.ts';

/** Bounds of the outbox; a command over either is refused with OUTBOX_FULL, never dropped later. */
export const OUTBOX_MAX_COUNT = 1_000;
export const OUTBOX_MAX_BYTES = 1024 * 1024;

export type PendingStatus = 'queued' | 'sent' | 'accepted' | 'resolving';

/** What is written to storage: enough to send the same command again. */
export type StoredCommand = {
  readonly id: string;
  readonly name: CommandName;
  readonly data: unknown;
  readonly submittedAtMs: number;
};

export type PendingCommand = StoredCommand & {
  readonly lane: string;
  readonly bytes: number;
  status: PendingStatus;
  /** Sends so far, over all sessions. Over one, or `mayBeStored`: a refusal without `seq` may be about a stored command. */
  attemptCount: number;
  mayBeStored: boolean;
  /** Refusals in a row: the exponent of the wait where the gateway names none. */
  refusalCount: number;
  touchedAtMs: number;
  retryAtMs: number;
};

export type EnqueueRefusal = { readonly code: 'OUTBOX_FULL' | 'FRAME_TOO_LARGE'; readonly message: string };

/** Which entries must keep their order: those of one channel. Read marks need no order with messages. */
export const laneOf = (command: { id: string; name: CommandName; data: unknown }): string => {
  if (command.name === 'channel.create') return command.id;
  const channelId = (command.data as { channelId?: string }).channelId ?? 'team';
  return command.name === 'read.mark' ? `read:${channelId}` : channelId;
};

const encoder = new TextEncoder();
const frameBytes = (command: StoredCommand): number =>
  encoder.encode(JSON.stringify({ t: 'cmd', ...frameOf(command) })).length;

export type Outbox = ReturnType<typeof createOutbox>;

export const createOutbox = (random: () => number) => {
  const entries = new Map<string, PendingCommand>();
  let totalBytes = 0;
  /** Entries on the wire without outcome; the gateway bounds them per session. */
  const inFlightCount = (): number => {
    let count = 0;
    for (const entry of entries.values())
      if (entry.status === 'sent' || entry.status === 'accepted') count += 1;
    return count;
  };
  const drop = (entry: PendingCommand): void => {
    entries.delete(entry.id);
    totalBytes -= entry.bytes;
  };

  const put = (command: StoredCommand, bytes: number, mayBeStored: boolean): void => {
    entries.set(command.id, {
      ...command,
      lane: laneOf(command),
      bytes,
      status: 'queued',
      attemptCount: 0,
      mayBeStored,
      refusalCount: 0,
      touchedAtMs: 0,
      retryAtMs: 0,
    });
    totalBytes += bytes;
  };

  const add = (command: StoredCommand): EnqueueRefusal | undefined => {
    // The frame is measured here because a gateway cannot name the command of a frame that it refuses to read.
    const bytes = frameBytes(command);
    if (bytes > FRAME_MAX_BYTES) {
      return {
        code: 'FRAME_TOO_LARGE',
        message: `The command takes ${bytes} bytes, over ${FRAME_MAX_BYTES}.`,
      };
    }
    if (entries.size >= OUTBOX_MAX_COUNT || totalBytes + bytes > OUTBOX_MAX_BYTES) {
      return { code: 'OUTBOX_FULL', message: 'Too many commands wait to be sent; try again when connected.' };
    }
    put(command, bytes, false);
    return undefined;
  };

  /** Drops read marks of the channel that were never sent: a newer one says it all. */
  const supersedeReadMarks = (lane: string): void => {
    for (const entry of [...entries.values()]) {
      if (entry.lane === lane && entry.attemptCount === 0 && !entry.mayBeStored) drop(entry);
    }
  };

  const isDue = (entry: PendingCommand, nowMs: number): boolean => {
    if (entry.status === 'queued') return entry.retryAtMs <= nowMs;
    return entry.status !== 'resolving' && nowMs - entry.touchedAtMs >= RESEND_AFTER_MS;
  };

  /** Takes what may go now, in order, and marks it sent. */
  const takeDue = (nowMs: number, inFlightMaxCount: number): readonly PendingCommand[] => {
    const due: PendingCommand[] = [];
    const held = new Set<string>();
    let room = inFlightMaxCount - inFlightCount();
    for (const entry of entries.values()) {
      if (held.has(entry.lane)) continue;
      const isRepeat = entry.status !== 'queued';
      if (isDue(entry, nowMs) && (isRepeat || room > 0)) {
        if (!isRepeat) room -= 1;
        entry.status = 'sent';
        entry.attemptCount += 1;
        entry.touchedAtMs = nowMs;
        due.push(entry);
      }
      if (entry.status !== 'accepted') held.add(entry.lane);
    }
    return due;
  };

  /** When `takeDue` may have something next, or undefined. Entries behind a held lane wait for an answer, not for time. */
  const nextDueMs = (nowMs: number, inFlightMaxCount: number): number | undefined => {
    let next: number | undefined;
    const held = new Set<string>();
    const room = inFlightMaxCount - inFlightCount();
    for (const entry of entries.values()) {
      if (held.has(entry.lane)) continue;
      if (entry.status !== 'accepted') held.add(entry.lane);
      if (entry.status === 'resolving' || (entry.status === 'queued' && room <= 0)) continue;
      const at =
        entry.status === 'queued' ? Math.max(nowMs, entry.retryAtMs) : entry.touchedAtMs + RESEND_AFTER_MS;
      if (next === undefined || at < next) next = at;
    }
    return next;
  };

  return {
    add,
    /** Takes back what an outbox had taken before: within twice the bounds, since nothing taken may be refused now. */
    restore: (command: StoredCommand, mayBeStored: boolean): void => {
      if (!entries.has(command.id)) put(command, frameBytes(command), mayBeStored);
    },
    supersedeReadMarks,
    takeDue,
    nextDueMs,
    get: (id: string): PendingCommand | undefined => entries.get(id),
    size: (): number => entries.size,
    list: (): readonly PendingCommand[] => [...entries.values()],
    stored: (): readonly StoredCommand[] =>
      [...entries.values()].map(({ id, name, data, submittedAtMs }) => ({ id, name, data, submittedAtMs })),
    accepted: (id: string, nowMs: number): void => {
      const entry = entries.get(id);
      if (!entry || entry.status !== 'sent') return;
      entry.status = 'accepted';
      entry.mayBeStored = true;
      entry.touchedAtMs = nowMs;
    },
    /** Answers the settled entry, or undefined when it was settled before (an outcome may come by two ways). */
    settle: (id: string): PendingCommand | undefined => {
      const entry = entries.get(id);
      if (entry) drop(entry);
      return entry;
    },
    /** A refusal for the moment: it goes again, before the later ones of its lane. Answers the wait. */
    retryLater: (id: string, nowMs: number, retryAfterMs: number | undefined): number => {
      const entry = entries.get(id);
      if (!entry) return 0;
      const waitMs = retryAfterMs ?? 100 + backoffMs(entry.refusalCount, random);
      entry.status = 'queued';
      entry.retryAtMs = nowMs + waitMs;
      entry.refusalCount += 1;
      return waitMs;
    },
    resolving: (id: string): void => {
      const entry = entries.get(id);
      if (entry) entry.status = 'resolving';
    },
    /** A new session knows nothing of the old one's frames, and delays named by the old gateway are void. */
    sessionEnded: (): void => {
      for (const entry of entries.values()) {
        if (entry.status === 'resolving') continue;
        entry.status = 'queued';
        entry.retryAtMs = 0;
      }
    },
  };
};

export const frameOf = (command: StoredCommand): { id: string; name: CommandName; data: unknown } => ({
  id: command.id,
  name: command.name,
  data: command.data,
});
