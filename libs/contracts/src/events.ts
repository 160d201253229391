/**
 * Events: a fact. The writer encodes the *complete client frame element once*; those bytes go to
 * `event_log.payload`, to `EVT_<p>` and, joined, to every client. Change within a version is additive only.
 *
 * Order within a command: the `u_` event of a membership change stands *before* its `c_` (or `t`) twin, so
 * that a gateway that follows the log in order lets a removed member go before the channel hears of it, and
 * lets an added one in before (`sinceSeq` = the seq of the `u_` event; channel events with a greater seq are theirs).
 */

import type { ChannelKind, CommandName, Role } from './commands.ts';
import type { ErrorCode } from './errors.ts';
import type { ChannelId, CommandId, UserId } from './ids.ts';

export type EventData = {
  /** scope `t` */
  readonly 'team.created': { readonly name: string };
  /** scopes `u_<userId>`, then `t` */
  readonly 'team.member_added': { readonly userId: UserId; readonly role: Role; readonly teamName: string };
  /** scopes `u_<userId>`, then `t`. Ends every channel membership of the user as well; no `member.removed` follows. */
  readonly 'team.member_removed': { readonly userId: UserId };
  /** scope `t` for public, `c_<id>` for private and direct (first `member.added` of each member, then this) */
  readonly 'channel.created': { readonly kind: ChannelKind; readonly name?: string };
  /** scopes `u_<userId>`, then `c_<channelId>` */
  readonly 'member.added': {
    readonly userId: UserId;
    readonly role: Role;
    readonly kind: ChannelKind;
    readonly name?: string;
  };
  /** scopes `u_<userId>`, then `c_<channelId>` */
  readonly 'member.removed': { readonly userId: UserId; readonly reason: 'left' | 'removed' };
  /** scope `c_<channelId>`; `commandId` is the message id, `channelSeq` its place */
  readonly 'message.sent': { readonly text: string };
  /** scope `u_<actor>` */
  readonly 'read.marked': { readonly upTo: number };
  /** scope `u_<actor>`: a refused command; final */
  readonly 'command.rejected': {
    readonly name: CommandName;
    readonly code: ErrorCode;
    readonly message: string;
  };
};
export type EventType = keyof EventData;

/** Version of each type as written today. A reader upcasts older ones. */
export const eventVersions = {
  'team.created': 1,
  'team.member_added': 1,
  'team.member_removed': 1,
  'channel.created': 1,
  'member.added': 1,
  'member.removed': 1,
  'message.sent': 1,
  'read.marked': 1,
  'command.rejected': 1,
} as const satisfies Record<EventType, number>;

type Element<T extends EventType> = {
  /** Row id in `event_log` and sequence in `EVT_<p>`: one number. */
  readonly seq: number;
  readonly type: T;
  readonly v: number;
  /** ms since the Unix epoch; monotone per channel; orders nothing. */
  readonly at: number;
  readonly channelId?: ChannelId;
  /** Gapless per channel; messages only. */
  readonly channelSeq?: number;
  readonly commandId: CommandId;
  /** Hash of the command that caused it: tells one's own send from another body under the same id. */
  readonly hash: string;
  readonly actor: UserId;
  readonly data: EventData[T];
};

/** One element of an `events` frame, discriminated by `type`. */
export type EventElement = { readonly [T in EventType]: Element<T> }[EventType];
export type EventOf<T extends EventType> = Element<T>;

/** Encodes the element; the key order is part of the contract with `peekEvent`. `dataJson` is JSON of `data`. */
export const encodeEvent = (
  seq: number,
  type: EventType,
  version: number,
  atMs: number,
  channelId: ChannelId | undefined,
  channelSeq: number | undefined,
  commandId: CommandId,
  hash: string,
  actor: UserId,
  dataJson: string,
): string =>
  `{"seq":${seq},"type":"${type}","v":${version},"at":${atMs}` +
  (channelId === undefined ? '' : `,"channelId":"${channelId}"`) +
  (channelSeq === undefined ? '' : `,"channelSeq":${channelSeq}`) +
  `,"commandId":"${commandId}","hash":"${hash}","actor":"${actor}","data":${dataJson}}`;

/** A value of the `MEMBERS` last-value stream under `mbr.<p>.<team>.<user>`. Written by the projector only. */
export type MembershipView = {
  /** All events of the partition up to this seq are accounted for in this value. */
  readonly asOf: number;
  readonly epoch: string;
  /** undefined: not (any longer) a member of the team. */
  readonly role?: Role;
  readonly channels: readonly ChannelMembership[];
};
export type ChannelMembership = {
  readonly id: ChannelId;
  /** seq of the `u_` `member.added` event; events of the channel with a greater seq are visible to this member. */
  readonly sinceSeq: number;
  readonly role: Role;
};

/**
 * The value of `mbr.<p>.pos`: every membership value up to `asOf` is in the stream. A view read *after* this
 * was received is complete to max(view.asOf, asOf); the rest comes from the `u_` events after it.
 */
export type MembersPosition = { readonly asOf: number; readonly epoch: string };

/** Request on `writer.<p>.outcome`. The reply waits up to `waitMs` (bounded by the writer at 10 s) for the commit. */
export type OutcomeRequest = {
  readonly teamId: string;
  readonly commandId: CommandId;
  readonly actor: UserId;
  readonly hash: string;
  readonly waitMs: number;
};
export type OutcomeReply =
  | {
      readonly kind: 'persisted';
      readonly seq: number;
      /** Sequence in CMD of the send that won: equal to one's own PubAck means new, else a repeat. 0 when unknown. */
      readonly cmdSeq: number;
      /** JSON of the first event of the command. */
      readonly event: EventElement;
    }
  | { readonly kind: 'rejected'; readonly seq?: number; readonly code: ErrorCode; readonly message: string }
  /** Not decided within `waitMs`. */
  | { readonly kind: 'pending' }
  /** The partition takes no writes (halted, or its owner cannot reach PostgreSQL). */
  | { readonly kind: 'unavailable'; readonly reason: string };
