/**
 * From the first frame to a session that is live or replaying: token → membership → cursor → welcome.
 * Everything from `completeMembership` to `welcome` and on to the registration for `u_` events is one turn: the
 * membership, the head that is told, and where live begins are of the same sequence.
 */

import { closeCodes } from '@chat/contracts/protocol';
import type { ErrorCode } from '@chat/contracts/errors';
import type { ClientFrame, Cursor, ResumeReason, SessionLimits } from '@chat/contracts/frames';
import type { UserId } from '@chat/contracts/ids';
import { evtSubject, userScope } from '@chat/contracts/subjects';
import type { TokenResult, TokenVerifier } from '@chat/platform/auth/tokens';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { type LoadMembership, completeMembership } from '../membership/load-membership.ts';
import type { MembershipBase } from '../membership/load-membership.ts';
import type { GatewayStats } from '../metrics/gateway-stats.ts';
import type { Replayer } from '../resume/replayer.ts';
import type { ChannelsNow, StreamReplay } from '../resume/stream-replay.ts';
import { type ReplayPlan, planFromTail } from '../resume/replay-plan.ts';
import { encodeFrame, errorFrame } from './server-frames.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** A team made or joined a moment ago may not have reached this gateway: wait before saying that there is none. */
const MEMBER_GRACE_MS = 1_500;
/** A cursor ahead of this gateway's feed is waited for this long. */
const FUTURE_WAIT_MS = 2_000;

type HelloFrame = Extract<ClientFrame, { t: 'hello' }>;

export type HelloDeps = {
  readonly tokens: TokenVerifier;
  readonly loadMembership: LoadMembership;
  readonly streamReplay: StreamReplay;
  readonly replayer: Replayer;
  readonly sessions: Sessions;
  readonly replayMaxCount: number;
  readonly heartbeatMs: number;
  /** For the welcome of this user, as of now. */
  readonly limitsOf: (userId: UserId) => SessionLimits;
  readonly stats: GatewayStats;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** The session takes frames now: those that came early first. */
  readonly onJoined: (session: Session) => void;
};

export type Hello = (session: Session, frame: HelloFrame) => Promise<void>;

type Refusal = { readonly code: ErrorCode; readonly closeCode: number; readonly message?: string };
type Resume =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'replayed'; readonly fromSeq: number; readonly plan: ReplayPlan }
  | { readonly kind: 'snapshot_required'; readonly reason: ResumeReason };

const unavailable: Refusal = { code: 'UNAVAILABLE', closeCode: closeCodes.MEMBERSHIP_UNAVAILABLE };
const noTeam: Refusal = { code: 'TEAM_NOT_FOUND', closeCode: closeCodes.NOT_A_MEMBER };

export const createHello = (deps: HelloDeps): Hello => {
  const { sessions, stats, log } = deps;

  const refuse = (session: Session, { code, closeCode, message }: Refusal): void => {
    stats.hellos.add('refused');
    stats.refusals.add(code);
    sessions.send(session, errorFrame(code, message === undefined ? {} : { message }));
    sessions.close(session, closeCode, code);
  };

  const authenticate = async (session: Session, token: string | undefined): Promise<Refusal | undefined> => {
    if (!token) return { code: 'AUTH_TOKEN_MISSING', closeCode: closeCodes.TOKEN_INVALID };
    const result = await deps.tokens.verify(token);
    if (!result.ok) return tokenRefusal(result);
    session.userId = result.userId;
    session.tokenExpiresAtMs = result.expiresAtMs;
    return undefined;
  };

  /** The base, completed to the flushed head; waits a little while the user is no member yet. */
  const membershipNow = async (session: Session): Promise<MembershipBase | Refusal> => {
    const { partition, teamId, userId } = session;
    const base = await deps.loadMembership(partition, teamId, userId);
    const untilMs = deps.nowMs() + MEMBER_GRACE_MS;
    for (;;) {
      if (!base || !completeMembership(base, partition, teamId, userId)) return unavailable;
      if (base.membership.isMember) return base;
      const leftMs = untilMs - deps.nowMs();
      if (leftMs <= 0 || !session.isOpen) return noTeam;
      // The next event of the partition may be the one that makes the team, or the user a member.
      await partition.reach(partition.flushedSeq + 1, leftMs);
    }
  };

  /** What the cursor leads to. It awaits, so `join` completes the membership anew. */
  const resumeOf = async (
    session: Session,
    base: MembershipBase,
    cursor: Cursor | undefined,
  ): Promise<Resume> => {
    const { partition, teamId, userId } = session;
    if (!cursor) return { kind: 'fresh' };
    const snapshot = (reason: ResumeReason): Resume => ({ kind: 'snapshot_required', reason });
    if (cursor.epoch !== partition.epoch) return snapshot('epoch_changed');
    if (!(await partition.reach(cursor.seq, FUTURE_WAIT_MS)))
      return snapshot(cursor.epoch === partition.epoch ? 'unknown_future' : 'epoch_changed');
    if (partition.tail.firstSeq > cursor.seq + 1) {
      const channelsNow: ChannelsNow = () =>
        completeMembership(base, partition, teamId, userId) ? base.membership.channels : undefined;
      const read = await deps.streamReplay.read(session, cursor.seq, channelsNow);
      return read.ok ? { kind: 'replayed', fromSeq: cursor.seq, plan: read.plan } : snapshot(read.reason);
    }
    const plan: ReplayPlan = { seqs: [], datas: undefined, upToSeq: cursor.seq, next: 0 };
    return { kind: 'replayed', fromSeq: cursor.seq, plan };
  };

  /** Synchronous: membership as of the flushed head, welcome, and on. */
  const join = (session: Session, base: MembershipBase, resume: Resume): Refusal | undefined => {
    const { partition, teamId, userId } = session;
    if (!partition.isFollowing || partition.isHeld) return unavailable;
    if (!completeMembership(base, partition, teamId, userId)) return unavailable;
    if (!base.membership.isMember) return noTeam;
    for (const [channelId, sinceSeq] of base.membership.channels) session.channels.set(channelId, sinceSeq);
    session.userScope = partition.tail.scope(evtSubject(teamId, userScope(userId)));
    session.userScope.sessions.add(session);
    const head = partition.flushedSeq;
    const final = resume.kind === 'replayed' ? checkPlan(session, resume) : resume;
    session.state = 'replaying';
    session.positionSeq = head;
    const reason = final.kind === 'snapshot_required' ? { reason: final.reason } : {};
    sessions.send(
      session,
      encodeFrame({
        t: 'welcome',
        teamId,
        userId,
        sessionId: session.id,
        epoch: partition.epoch,
        head,
        resume: final.kind,
        ...reason,
        heartbeatMs: deps.heartbeatMs,
        limits: deps.limitsOf(userId),
      }),
    );
    stats.hellos.add(final.kind);
    if (final.kind !== 'replayed') deps.replayer.goLive(session);
    else {
      session.positionSeq = final.fromSeq;
      session.plan = final.plan;
      deps.replayer.advance(session);
    }
    return undefined;
  };

  /** The part of the replay that lies in the tail must be known to be possible before `replayed` is said. */
  const checkPlan = (session: Session, resume: Extract<Resume, { kind: 'replayed' }>): Resume => {
    const { plan } = resume;
    if (session.partition.tail.firstSeq > plan.upToSeq + 1)
      return { kind: 'snapshot_required', reason: 'too_old' };
    const rest = planFromTail(session, plan.upToSeq, deps.replayMaxCount - plan.seqs.length);
    if (!rest.ok) return { kind: 'snapshot_required', reason: rest.reason };
    return plan.datas ? resume : { ...resume, plan: rest.plan };
  };

  const run = async (session: Session, frame: HelloFrame): Promise<Refusal | undefined> => {
    const { partition } = session;
    const token = frame.token ?? session.bearer;
    session.bearer = undefined;
    session.device = frame.device ?? '';
    const refusal = await authenticate(session, token);
    if (refusal || !session.isOpen) return refusal;
    if (!partition.isFollowing) return unavailable;
    const base = await membershipNow(session);
    if ('code' in base || !session.isOpen) return 'code' in base ? base : undefined;
    const resume = await resumeOf(session, base, frame.cursor);
    return session.isOpen ? join(session, base, resume) : undefined;
  };

  return async (session, frame) => {
    session.state = 'joining';
    const fromMs = performance.now();
    if (frame.cursor) stats.reconnectCount += 1;
    try {
      const refusal = await run(session, frame);
      if (refusal) refuse(session, refusal);
      else if (session.isJoined) deps.onJoined(session);
    } catch (error) {
      log.warn({ sessionId: session.id, reason: reasonOf(error) }, 'hello could not be answered');
      refuse(session, unavailable);
    }
    stats.helloSeconds.observe((performance.now() - fromMs) / 1_000);
  };
};

const tokenRefusal = (result: Extract<TokenResult, { ok: false }>): Refusal => ({
  code: result.code,
  message: result.message,
  closeCode: result.code === 'AUTH_TOKEN_EXPIRED' ? closeCodes.TOKEN_EXPIRED : closeCodes.TOKEN_INVALID,
});
