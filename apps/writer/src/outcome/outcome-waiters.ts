/**
 * Who waits for the outcome of a command. Bound: WAITERS_MAX_COUNT; beyond it a waiter is refused and told
 * `pending` at once. Told when the batch has committed (then it is persisted), never before.
 */

import type { CommandId, TeamId } from '@chat/contracts/ids';
import { type Outcome, outcomeKey } from '../batch/batch-plan.ts';

export const WAITERS_MAX_COUNT = 20_000;

type Waiter = (outcome: Outcome) => void;

export type OutcomeWaiters = {
  /** Answers undefined when there is no room, else a function that gives the wait up. */
  readonly add: (teamId: TeamId, commandId: CommandId, waiter: Waiter) => (() => void) | undefined;
  readonly tell: (outcome: Outcome) => void;
  /** False: nobody waits, `tell` may be skipped. */
  readonly isWaiting: () => boolean;
};

export const createOutcomeWaiters = (maxCount = WAITERS_MAX_COUNT): OutcomeWaiters => {
  const byKey = new Map<string, Set<Waiter>>();
  let count = 0;

  const remove = (key: string, waiter: Waiter): void => {
    const waiters = byKey.get(key);
    if (!waiters?.delete(waiter)) return;
    count -= 1;
    if (waiters.size === 0) byKey.delete(key);
  };

  return {
    add: (teamId, commandId, waiter) => {
      if (count >= maxCount) return undefined;
      const key = outcomeKey(teamId, commandId);
      const waiters = byKey.get(key) ?? new Set();
      byKey.set(key, waiters.add(waiter));
      count += 1;
      return () => remove(key, waiter);
    },
    tell: (outcome) => {
      const { key } = outcome;
      const waiters = byKey.get(key);
      if (!waiters) return;
      byKey.delete(key);
      count -= waiters.size;
      for (const waiter of waiters) waiter(outcome);
    },
    isWaiting: () => count > 0,
  };
};
