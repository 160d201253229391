/** What the session core takes and answers. The core does no I/O and knows no clock: see session-core.ts. */

import type { ErrorCode } from '@chat/contracts/errors';
import type { EventElement } from '@chat/contracts/events';
import type { ClientFrame, Cursor, ServerFrame } from '@chat/contracts/frames';
import type { UserId } from '@chat/contracts/ids';

export type StopReason =
  /** `stop()` was called. */
  | { readonly kind: 'by_caller' }
  /** The server closed with 4500–4999: the client must mend something first (token, membership, its frames). */
  | { readonly kind: 'closed'; readonly closeCode: number; readonly message: string }
  /** The token names another user than the one whose commands are kept in storage. Nothing was sent. */
  | { readonly kind: 'user_changed' }
  /** The log goes on in a form that only a newer client can read. The cursor stands before it: nothing is lost. */
  | { readonly kind: 'outdated'; readonly type: string; readonly version: number };

/** Why a session is not there at the moment. `busy`: the server takes no more, or this client was too fast. */
export type WaitCause = 'lost' | 'draining' | 'busy' | 'token';

export type ConnectionState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly gatewayUrl: string }
  | { readonly kind: 'replaying' }
  | { readonly kind: 'snapshot' }
  | { readonly kind: 'live' }
  | {
      readonly kind: 'waiting';
      readonly retryInMs: number;
      readonly cause: WaitCause;
      /** For a log; `cause` is for people. */
      readonly reason: string;
    }
  | { readonly kind: 'stopped'; readonly reason: StopReason };

export type Verdict =
  | {
      readonly kind: 'persisted';
      readonly id: string;
      /** seq of the command's first event. */
      readonly seq: number;
      readonly duplicate: boolean;
    }
  | {
      readonly kind: 'rejected';
      readonly id: string;
      /** Absent when a gateway refused it and nothing was stored. */
      readonly seq?: number;
      readonly code: ErrorCode;
      readonly message: string;
    };

export type Held = {
  readonly id: string;
  readonly code: ErrorCode;
  /** As the gateway named it, else as the client chose it. */
  readonly retryInMs: number;
};

export type SessionInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'stop' }
  /** `tokenLeftMs`: how long the token that goes with `hello` is good; undefined when it does not say. */
  | { readonly kind: 'opened'; readonly tokenLeftMs?: number | undefined }
  /** A renewed token was sent to the gateway. */
  | { readonly kind: 'reauth_sent'; readonly tokenLeftMs: number | undefined }
  | { readonly kind: 'reauth_failed' }
  | { readonly kind: 'closed'; readonly closeCode: number; readonly message: string }
  | { readonly kind: 'frame'; readonly frame: ServerFrame }
  | { readonly kind: 'snapshot_done'; readonly snapshotId: number }
  /** The read model says that the epoch is another one: this session's is stale. */
  | { readonly kind: 'epoch_stale' }
  /** The api answered what became of a command whose refusal was in doubt. */
  | { readonly kind: 'resolved'; readonly verdict: Verdict }
  | { readonly kind: 'unresolved'; readonly id: string }
  /** A command was added to the outbox, or time has passed. */
  | { readonly kind: 'wake' }
  /** The machine says that the network is back or the page is seen again: do not sit out a wait. */
  | { readonly kind: 'nudge' };

export type SessionEffect =
  | { readonly kind: 'open'; readonly gatewayUrl: string; readonly renewToken: boolean }
  | { readonly kind: 'close'; readonly closeCode: number; readonly message: string }
  /** The shell adds the token to `hello`. */
  | { readonly kind: 'send'; readonly frame: ClientFrame }
  /** Get a new token and send it in `reauth`; answered by `reauth_sent` or `reauth_failed`. */
  | { readonly kind: 'reauth' }
  /** Strictly after the last applied event, each once. */
  | { readonly kind: 'apply'; readonly events: readonly EventElement[] }
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  /** Refused for the moment; it goes again by itself. */
  | { readonly kind: 'held'; readonly held: Held }
  | { readonly kind: 'resolve'; readonly id: string }
  | {
      readonly kind: 'welcome';
      readonly userId: UserId;
      readonly epoch: string;
      readonly isNewEpoch: boolean;
    }
  /** The gateway replays what came after `fromSeq` up to `head`. */
  | { readonly kind: 'resumed'; readonly fromSeq: number; readonly head: number }
  /** Read everything with `minSeq = head`; cancels an older snapshot. */
  | {
      readonly kind: 'snapshot';
      readonly snapshotId: number;
      readonly epoch: string;
      readonly head: number;
      readonly reason: string;
    }
  | { readonly kind: 'state'; readonly state: ConnectionState }
  /** The outbox or the cursor changed: write them to storage. `urgent`: a command was settled or added. */
  | { readonly kind: 'save'; readonly urgent: boolean }
  | {
      readonly kind: 'signal';
      readonly frame: Extract<ServerFrame, { t: 'typing' | 'presence' | 'error' | 'draining' }>;
    };

export type ResumePoint = { readonly cursor?: Cursor; readonly userId?: UserId };
