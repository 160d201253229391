/** What the limits of this api refused: counted by limit, and the users whom they refused (see violators.ts). */

import { performance } from 'node:perf_hooks';
import type { UserId } from '@chat/contracts/ids';
import { createViolators } from '@chat/platform/limits/violators';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';

export type ApiLimitName = 'messages' | 'requests';
export type LimitRefusals = (userId: UserId, limit: ApiLimitName) => void;

export const createLimitRefusals = (metrics: Metrics, log: Logger): LimitRefusals => {
  const violators = createViolators(log);
  const refusals = metrics.counter({
    name: 'chat_limit_refusals_total',
    help: 'Refusals by a limit.',
    labelNames: ['limit'],
  });
  metrics.gauge({
    name: 'chat_limit_violators',
    help: 'Users refused by a limit here within the last 5 minutes.',
    collect() {
      this.set(violators.count(performance.now()));
    },
  });
  for (const limit of ['messages', 'requests'] satisfies ApiLimitName[]) refusals.inc({ limit }, 0);
  return (userId, limit) => {
    refusals.inc({ limit });
    violators.refused(userId, limit, performance.now());
  };
};
