/** What happens to a command that fails alone: see poison/poison.ts for the order and the bound. */

import type { JetStreamClient } from '@nats-io/jetstream';
import type { Clock } from '@chat/platform/clock';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { classify } from '@chat/platform/postgres/sqlstate';
import { commandNameOfSubject, senderOf } from '../intake/decode-command.ts';
import { POISON_MAX_ATTEMPTS, countAttempt, forgetAttempts, storeDeadLetter } from '../poison/poison.ts';
import type { PgSession } from '../postgres/session.ts';
import type { TeamCache } from '../teams/team-cache.ts';
import { type BatchItem, partOf } from './batch-loop.ts';
import { BatchPlan } from './batch-plan.ts';
import { commitBatchStatement, commitBatchValues } from './commit-batch.ts';
import { advance, rejectPoisoned } from './decide-batch.ts';

export type PoisonHandler = {
  /** Counts; `again`: to be tried once more; `aside`: dead-lettered, refused, passed. Throws database trouble. */
  readonly attempt: (item: BatchItem, reason: string) => Promise<'again' | 'aside'>;
  /** In careful mode, before decoding: counts, and sets aside what has been begun too often. */
  readonly isSetAside: (item: BatchItem) => Promise<boolean>;
  /** Processed after all. */
  readonly forget: (item: BatchItem) => void;
};

export type PoisonHandlerDeps = {
  readonly session: PgSession;
  readonly js: JetStreamClient;
  readonly teams: TeamCache;
  readonly owner: string;
  readonly leaseTtlMs: number;
  readonly clock: Clock;
  readonly onSetAside: (plan: BatchPlan) => void;
  /** Once for each command set aside, whether its sender can be told or not. */
  readonly onPoison: () => void;
  readonly log: Logger;
};

export const createPoisonHandler = (deps: PoisonHandlerDeps): PoisonHandler => {
  const { session, log } = deps;

  const commit = async (item: BatchItem, isSenderTold: boolean): Promise<BatchPlan> => {
    const { open, message } = item;
    const plan = new BatchPlan();
    // Closed while the dead letter was stored: whoever opens it reads the command again.
    if (open.isClosed) return plan;
    const part = partOf(plan, open);
    const sender = isSenderTold ? senderOf(message) : undefined;
    if (sender) {
      const context = { plan, part, teams: deps.teams, nowMs: deps.clock.nowMs(), known: () => undefined };
      rejectPoisoned(context, sender, commandNameOfSubject(message.subject), message);
    } else advance(part, message);
    await session.query({
      ...commitBatchStatement,
      values: commitBatchValues(plan, deps.owner, deps.leaseTtlMs),
    });
    open.nextId = part.next;
    open.cmdSeq = part.cmdSeq;
    open.cmdMark = part.cmdMark();
    if (!open.isClosed) open.relay.append(part.events);
    return plan;
  };

  const setAside = async (item: BatchItem, reason: string): Promise<void> => {
    const { open, message } = item;
    await storeDeadLetter(deps.js, open.p, message, reason);
    const where = {
      partition: open.p,
      cmdSeq: message.seq,
      commandId: senderOf(message)?.id,
      traceId: message.trace?.traceId,
    };
    log.error({ ...where, reason }, 'poison command set aside');
    deps.onPoison();
    let plan: BatchPlan;
    try {
      plan = await commit(item, true);
    } catch (error) {
      // Its very id is what fails (or is spent): then only the position moves; the dead letter tells of it.
      if (classify(error) !== 'data') throw error;
      log.error({ ...where, reason: reasonOf(error) }, 'its sender cannot be told');
      plan = await commit(item, false);
    }
    deps.onSetAside(plan);
  };

  return {
    attempt: async (item, reason) => {
      const { open, message } = item;
      const attempts = await countAttempt(session.query, open.p, message, reason);
      if (attempts < POISON_MAX_ATTEMPTS) return 'again';
      await setAside(item, reason);
      return 'aside';
    },
    isSetAside: async (item) => {
      const { open, message } = item;
      const attempts = await countAttempt(session.query, open.p, message, 'begun, not ended');
      if (attempts <= POISON_MAX_ATTEMPTS) return false;
      await setAside(item, 'ended its writer repeatedly');
      open.carefulCount -= 1;
      return true;
    },
    forget: (item) => {
      forgetAttempts(session.query, item.open.p, item.message.seq).catch((error: unknown) =>
        log.debug({ reason: reasonOf(error) }, 'attempts not forgotten'),
      );
    },
  };
};
