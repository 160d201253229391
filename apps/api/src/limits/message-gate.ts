/**
 * The limit of messages for sends by HTTP: the gateway's buckets, for what this api took and for what it sees its users
 * send by other ways (sent-elsewhere.ts). A gateway in turn sees these messages in its feed and counts them.
 */

import { performance } from 'node:perf_hooks';
import type { LimitStatus } from '@chat/contracts/frames';
import type { CommandId, TeamId, UserId } from '@chat/contracts/ids';
import type { MessageLimit } from '@chat/platform/limits/message-limit';
import type { LimitRefusals } from './limit-refusals.ts';
import type { SentElsewhere } from './sent-elsewhere.ts';

export type MessageRefusal = {
  readonly waitMs: number;
  /** Of the limit that refuses. */
  readonly status: LimitStatus;
};

export type MessageGate = {
  /** Takes a message of the user; a refusal, if there is none to take. */
  take(userId: UserId, teamId: TeamId, id: CommandId): MessageRefusal | undefined;
};

export type MessageGateDeps = {
  readonly limit: MessageLimit;
  readonly sentElsewhere: Pick<SentElsewhere, 'sending'>;
  readonly refused: LimitRefusals;
};

export const createMessageGate = ({ limit, sentElsewhere, refused }: MessageGateDeps): MessageGate => ({
  take: (userId, teamId, id) => {
    const nowMs = performance.now();
    const waitMs = limit.take(userId, nowMs);
    if (waitMs === 0) {
      sentElsewhere.sending(teamId, id);
      return undefined;
    }
    refused(userId, 'messages');
    const { burst, sustained } = limit.status(userId, nowMs);
    return { waitMs, status: sustained.remainingCount < 1 ? sustained : burst };
  },
});
