/**
 * One WebSocket: one user in one team.
 *
 * States
 *   connecting → joining     hello came; token, membership and cursor are being looked at
 *   joining    → replaying   welcome sent; everything in (positionSeq, flushed head] is being sent
 *   replaying  → live        positionSeq reached the flushed head *in the same turn* in which the topics are joined
 *   live       → replaying   uWS dropped a frame: topics are left, replay starts before the first dropped event
 *   any        → closing     close sent, or the socket is gone; nothing touches the socket any more
 *
 * `channels` is the membership as of the partition's *flushed* sequence in `replaying` and `live`: fan-out changes
 * it at exactly the sequence of each membership event. Only `live` is subscribed to topics.
 */

import type { ClientFrame } from '@chat/contracts/frames';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { Deque } from '@chat/platform/deque';
import type { Waiter } from '../command/waiter.ts';
import type { Partition } from '../feed/partition.ts';
import type { Scope } from '../feed/tail.ts';
import type { ReplayPlan } from '../resume/replay-plan.ts';
import type { Socket } from '../uws-server.ts';

export type SessionState = 'connecting' | 'joining' | 'replaying' | 'live' | 'closing';

export class Session {
  readonly id: string;
  readonly socket: Socket;
  readonly teamId: TeamId;
  readonly partition: Partition;
  /** From the upgrade's Authorization header; dropped after hello. */
  bearer: string | undefined;
  readonly openedAtMs: number;

  state: SessionState = 'connecting';
  userId: UserId = '' as UserId;
  device = '';
  tokenExpiresAtMs = 0;
  readonly channels = new Map<ChannelId, number>();
  userScope: Scope | undefined;
  /** Topics joined; empty unless live. */
  readonly joined = new Set<Scope>();

  /** `replaying`: everything this session may see up to here has been sent. */
  positionSeq = 0;
  plan: ReplayPlan | undefined;
  /** `replaying`: since when the socket takes nothing; 0 when it does. */
  stuckSinceMs = 0;
  /** The first event that uWS dropped, until the session has left its topics; 0 when none. */
  droppedFromSeq = 0;
  ackedSeq = 0;
  lastSentAtMs = 0;

  /** Stands in the connection registry. */
  isRegistered = false;
  /** The code with which the gateway itself closed; 0 while it did not. */
  ownCloseCode = 0;

  offenceCount = 0;
  /** Frames that came between hello and welcome, in order. */
  early: ClientFrame[] | undefined;
  /** Frames that leave together at the end of the turn, or with the next that does; see sessions.ts. */
  outbox: string[] = [];
  /** The turn flushes the outbox. */
  isOutboxDue = false;
  /** Since when (`performance.now()`) the outbox waits for a frame to leave with; 0 when it does not. */
  waitingSinceMs = 0;
  /** The sweep over the waiting looks at it. */
  isInSweep = false;

  /** Commands not yet stored, in the order in which they came; the first may be in flight. */
  readonly queue = new Deque<Waiter>();
  isPublishing = false;
  isWaitingForWindow = false;
  /** Commands stored, whose outcome is not known yet, in order. Those already done are dropped from the front. */
  readonly unresolved = new Deque<Waiter>();
  pendingCount = 0;
  isAsking = false;
  nextAskAtMs = 0;
  askAttempt = 0;
  /** Wishes for channels not known here that may still go to the writer; see command-entry.ts. */
  unknownChannelTokens = 5;
  unknownChannelAtMs = 0;

  constructor(
    id: string,
    socket: Socket,
    teamId: TeamId,
    partition: Partition,
    bearer: string | undefined,
    nowMs: number,
  ) {
    this.id = id;
    this.socket = socket;
    this.teamId = teamId;
    this.partition = partition;
    this.bearer = bearer;
    this.openedAtMs = nowMs;
  }

  get isOpen(): boolean {
    return this.state !== 'closing';
  }

  get isJoined(): boolean {
    return this.state === 'replaying' || this.state === 'live';
  }
}
