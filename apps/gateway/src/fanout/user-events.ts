/**
 * Applies a `u_` event to the sessions of its user, at exactly its place in the log: fan-out has published everything
 * before it and the event itself, and nothing behind it.
 */

import { closeCodes } from '@chat/contracts/protocol';
import { channelScope, evtSubject } from '@chat/contracts/subjects';
import type { Partition } from '../feed/partition.ts';
import type { Scope } from '../feed/tail.ts';
import { type MembershipChange, membershipChangeOf, parseEvent } from '../membership/membership-events.ts';
import type { Replayer } from '../resume/replayer.ts';
import type { Session } from '../session/session.ts';

export type UserEventsDeps = {
  readonly replayer: Replayer;
  readonly close: (session: Session, code: number, reason: string) => void;
};

export const createUserEvents = ({ replayer, close }: UserEventsDeps) => {
  const apply = (session: Session, seq: number, change: MembershipChange): void => {
    const isLive = session.state === 'live';
    switch (change.kind) {
      case 'joined': {
        session.channels.set(change.channelId, seq);
        if (isLive) replayer.joinScope(session, evtSubject(session.teamId, channelScope(change.channelId)));
        return;
      }
      case 'left': {
        session.channels.delete(change.channelId);
        if (isLive) replayer.leaveScope(session, evtSubject(session.teamId, channelScope(change.channelId)));
        return;
      }
      case 'team_joined':
        return;
      case 'team_left':
        // A live session has just been sent the event; the code says the same to one that still replays.
        session.channels.clear();
        close(session, closeCodes.NOT_A_MEMBER, 'removed from the team');
    }
  };

  return {
    applyUserEvent: (_partition: Partition, scope: Scope, seq: number, data: Buffer): void => {
      const event = parseEvent(data);
      const change = event && membershipChangeOf(event);
      if (!change) return;
      for (const session of [...scope.sessions]) if (session.isJoined) apply(session, seq, change);
    },
  };
};
