/** Who was refused by a limit of the gateway, and how often by which. */

import type { UserId } from '@chat/contracts/ids';
import { createViolators } from '@chat/platform/limits/violators';
import type { Logger } from '@chat/platform/log';
import { Counts } from '../metrics/gateway-stats.ts';

/** messages: the rate of sends · in_flight: too many commands without outcome · sockets: too many of this gateway. */
export type LimitName = 'messages_burst' | 'messages_sustained' | 'in_flight' | 'sockets';

export type LimitViolators = {
  readonly refusals: Counts<LimitName>;
  refused(userId: UserId, limit: LimitName, nowMs: number): void;
  /** Users refused within the last 5 minutes. */
  count(nowMs: number): number;
};

export const createLimitViolators = (log: Logger): LimitViolators => {
  const refusals = new Counts<LimitName>();
  const violators = createViolators(log);
  return {
    refusals,
    refused: (userId, limit, nowMs) => {
      refusals.add(limit);
      violators.refused(userId, limit, nowMs);
    },
    count: violators.count,
  };
};
