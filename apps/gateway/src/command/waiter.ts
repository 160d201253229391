import type { CommandName } from '@chat/contracts/commands';
import type { CommandId } from '@chat/contracts/ids';
import type { TraceSpan } from '@chat/platform/tracing';
import type { Session } from '../session/session.ts';

/**
 * One `cmd` frame on its way.
 *
 * States: queued → publishing → stored (PubAck) → done (persisted or rejected was answered).
 * Its event may be seen before its PubAck: then publishing → done. Given up: queued or publishing → done.
 */
export type Waiter = {
  readonly session: Session;
  readonly id: CommandId;
  readonly name: CommandName;
  readonly hash: string;
  /** See `commandKey`. */
  readonly key: string;
  readonly subject: string;
  readonly payload: Buffer;
  state: 'queued' | 'publishing' | 'stored' | 'done';
  /** Of the frame; by `performance.now()`, which no clock step moves. */
  readonly takenAtMs: number;
  attemptCount: number;
  firstTriedAtMs: number;
  storedAtMs: number;
  /** Sequence in CMD of the send that was stored (the first one's, for a repeat). */
  storedSeq: number;
  /** The broker had seen this Msg-Id before. */
  isRepeat: boolean;
  /** Next waiter under the same key (the same wish sent again while it is pending). */
  next: Waiter | undefined;
  /** From the frame to its outcome; only when this command is traced. */
  readonly trace?: TraceSpan | undefined;
};
