/** The frames of `chat.v1`: JSON text, discriminated by `t`. Ids are correlation ids. */

import Type, { type TSchema } from 'typebox';
import type { CommandName } from './commands.ts';
import type { ErrorCode } from './errors.ts';
import type { EventElement } from './events.ts';
import type { CommandId, TeamId, UserId } from './ids.ts';

export { PROTOCOL, closeCodes, closeCodeMeansReconnect } from './protocol.ts';

/** How far a client has seen. Valid in one epoch of one team's partition. */
export type Cursor = { readonly epoch: string; readonly seq: number };

export type ClientFrame =
  /** `token` may be left out when the upgrade carried `Authorization: Bearer`. */
  | { readonly t: 'hello'; readonly token?: string; readonly device?: string; readonly cursor?: Cursor }
  | { readonly t: 'cmd'; readonly id: string; readonly name: CommandName; readonly data: unknown }
  /** Cumulative: all up to `seq` has been applied. */
  | { readonly t: 'ack'; readonly seq: number }
  | { readonly t: 'typing'; readonly channelId: string }
  | { readonly t: 'presence'; readonly state: 'active' | 'away' }
  | { readonly t: 'reauth'; readonly token: string }
  | { readonly t: 'ping'; readonly id?: string };

export type ResumeReason = 'epoch_changed' | 'too_old' | 'too_many' | 'unknown_future';

export type SessionLimits = {
  readonly frameMaxBytes: number;
  readonly textMaxBytes: number;
  /** Commands of one session that may wait for their outcome at once. */
  readonly inFlightMaxCount: number;
  /** Messages of the user, counted over all sockets, gateways and HTTP, as they stood at the welcome. Absent: not told. */
  readonly messages?: MessageLimitStatus;
};

/** A token bucket: `maxCount` at once, refilled with `maxCount` every `perMs`. */
export type LimitStatus = {
  readonly maxCount: number;
  readonly perMs: number;
  readonly remainingCount: number;
};
/** A send needs a token of both. */
export type MessageLimitStatus = { readonly burst: LimitStatus; readonly sustained: LimitStatus };

export type WelcomeFrame = {
  readonly t: 'welcome';
  readonly teamId: TeamId;
  readonly userId: UserId;
  readonly sessionId: string;
  readonly epoch: string;
  /** Replay ends and live begins here. A client reads its snapshot with `minSeq = head`. */
  readonly head: number;
  /**
   * `fresh`: no cursor was given; take a snapshot. `replayed`: everything in (cursor, head] follows in `events`
   * frames, then a `tick {seq: head}` or later. `snapshot_required`: nothing is replayed; `reason` says why.
   */
  readonly resume: 'fresh' | 'replayed' | 'snapshot_required';
  readonly reason?: ResumeReason;
  /** The server sends something at least this often (`tick`); twice this in silence is a dead connection. */
  readonly heartbeatMs: number;
  readonly limits: SessionLimits;
};

export type ServerFrame =
  | WelcomeFrame
  | { readonly t: 'events'; readonly events: readonly EventElement[] }
  /** Stored in CMD; not yet persisted. */
  | { readonly t: 'accepted'; readonly id: CommandId }
  /** Committed. `duplicate`: a repeat; `seq` is the first outcome's. */
  | { readonly t: 'persisted'; readonly id: CommandId; readonly seq: number; readonly duplicate?: true }
  /** With `seq`: final and recorded. Without: refused at the gateway, nothing was stored. */
  | {
      readonly t: 'rejected';
      readonly id: string;
      readonly seq?: number;
      readonly code: ErrorCode;
      readonly message: string;
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
    }
  /** Everything this session may see up to `seq` has been sent. Moves an idle cursor. */
  | { readonly t: 'tick'; readonly seq: number }
  | { readonly t: 'typing'; readonly channelId: string; readonly userId: UserId }
  | { readonly t: 'presence'; readonly userId: UserId; readonly state: 'active' | 'away' | 'offline' }
  | { readonly t: 'draining'; readonly reconnectAfterMs: number }
  | {
      readonly t: 'error';
      readonly code: ErrorCode;
      readonly message: string;
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
    }
  | { readonly t: 'pong'; readonly id?: string };

/** Frame pieces for joining already encoded elements without parsing them. */
export const EVENTS_PREFIX = '{"t":"events","events":[';
export const EVENTS_SUFFIX = ']}';

const token = Type.String({ minLength: 1, maxLength: 3_500 });
const seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const closed = { additionalProperties: false } as const;

/** Schemas of what clients send, by `t`. `cmd.data` is checked by `parseCommand`. */
export const clientFrameSchemas = {
  hello: Type.Object(
    {
      t: Type.Literal('hello'),
      token: Type.Optional(token),
      device: Type.Optional(Type.String({ minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9_-]+$' })),
      cursor: Type.Optional(
        Type.Object({ epoch: Type.String({ minLength: 1, maxLength: 64 }), seq }, closed),
      ),
    },
    closed,
  ),
  cmd: Type.Object(
    {
      t: Type.Literal('cmd'),
      id: Type.String({ maxLength: 64 }),
      name: Type.String({ maxLength: 64 }),
      data: Type.Unknown(),
    },
    closed,
  ),
  ack: Type.Object({ t: Type.Literal('ack'), seq }, closed),
  typing: Type.Object({ t: Type.Literal('typing'), channelId: Type.String({ maxLength: 36 }) }, closed),
  presence: Type.Object(
    { t: Type.Literal('presence'), state: Type.Union([Type.Literal('active'), Type.Literal('away')]) },
    closed,
  ),
  reauth: Type.Object({ t: Type.Literal('reauth'), token }, closed),
  ping: Type.Object({ t: Type.Literal('ping'), id: Type.Optional(Type.String({ maxLength: 64 })) }, closed),
} as const satisfies Record<ClientFrame['t'], TSchema>;
