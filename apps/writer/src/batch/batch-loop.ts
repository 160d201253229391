/**
 * Group commit: what is there (up to BATCH_MAX_COUNT commands of all open partitions) becomes one transaction;
 * while it commits, the next batch gathers. No timer: an idle writer commits a single command at once, a busy one
 * fills its batches. Batches commit one after another, so that decisions always stand on committed state; relaying
 * overlaps (it needs no answer to go on).
 *
 * A batch's life: collect → load missing teams → decide → commit → hand to relays and waiters.
 *   conflict on a command id (repeat)  → look the first outcomes up, decide again
 *   fenced (CH001)                     → close the fenced partitions, decide the rest again
 *   data error, or a command that cannot be decoded → cut the batch at it; alone it counts attempts, then is set aside
 *   database trouble, or doubt whether it committed  → close all partitions; opening them compares and reads again
 * Whatever fails leaves nothing behind: teams that a failed plan touched are dropped from the cache.
 */

import type { TeamId } from '@chat/contracts/ids';
import type { Clock } from '@chat/platform/clock';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { backoffMs, pause } from '@chat/platform/resilience/backoff';
import { classify, uniqueViolationOf } from '@chat/platform/postgres/sqlstate';
import type { FaultPoints } from '../fault-points.ts';
import type { WriterMetrics } from '../metrics/writer-metrics.ts';
import type { IntakeMessage } from '../intake/decode-command.ts';
import { type OutcomeKey, lookupOutcomes } from '../outcome/lookup-outcomes.ts';
import type { OutcomeWaiters } from '../outcome/outcome-waiters.ts';
import type { RecentOutcomes } from '../outcome/recent-outcomes.ts';
import type { OpenPartition } from '../partition/open-partition.ts';
import type { PgSession } from '../postgres/session.ts';
import { loadTeams } from '../teams/load-teams.ts';
import type { TeamCache } from '../teams/team-cache.ts';
import { BatchPlan, type Outcome, type PlanPart } from './batch-plan.ts';
import { commitBatchStatement, commitBatchValues } from './commit-batch.ts';
import { PoisonFault, decideMessage } from './decide-batch.ts';
import { peekOutcomeKey } from './peek-outcome-key.ts';
import { commitTraced, decideTraced } from './traced.ts';
import type { PoisonHandler } from './poison-handler.ts';

/** Design. */
export const BATCH_MAX_COUNT = 512;
/** Of command bodies; one that reaches it still belongs to the batch. */
export const BATCH_MAX_BYTES = 8 * 1024 * 1024;
/** Deadlocks and serialization failures in a row before the connection is given up. */
const CONTENTION_MAX_COUNT = 5;
const GIVE_UP_BASE_MS = 20;
const GIVE_UP_MAX_MS = 1_000;

export type BatchItem = { readonly open: OpenPartition; readonly message: IntakeMessage };

export type BatchLoopDeps = {
  readonly session: PgSession;
  readonly teams: TeamCache;
  readonly recent: RecentOutcomes;
  readonly waiters: OutcomeWaiters;
  readonly openPartitions: () => readonly OpenPartition[];
  readonly reopen: (open: OpenPartition, reason: string) => void;
  readonly reopenAll: (reason: string) => void;
  readonly poison: PoisonHandler;
  readonly owner: string;
  readonly leaseTtlMs: number;
  readonly clock: Clock;
  readonly faultPoints: FaultPoints;
  readonly log: Logger;
  readonly metrics: WriterMetrics;
  readonly isTracing?: boolean;
};

export type BatchLoop = {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly wake: () => void;
  readonly batchCount: () => number;
};

export const createBatchLoop = (deps: BatchLoopDeps): BatchLoop => {
  const { session, teams, recent, waiters, log, faultPoints } = deps;
  let isStopping = false;
  let running: Promise<void> | undefined;
  let wakeUp: (() => void) | undefined;
  let isAwake = false;
  let turn = 0;
  let batchCount = 0;
  let failureCount = 0;
  /** A repeat came up: ask before deciding until a batch without repeats (a reread after loss is all repeats). */
  let shouldAskFirst = false;

  const wake = (): void => {
    isAwake = true;
    wakeUp?.();
  };

  const collect = (): BatchItem[] => {
    const items: BatchItem[] = [];
    let bytes = 0;
    const takeFrom = (open: OpenPartition, maxCount: number): void => {
      const count = Math.min(maxCount, BATCH_MAX_COUNT - items.length);
      open.intake.take(count, BATCH_MAX_BYTES - bytes, (message) => {
        items.push({ open, message });
        bytes += message.data.byteLength;
      });
    };
    const ready = deps
      .openPartitions()
      .filter((open) => open.intake.waitingCount() > 0 && open.relay.hasRoom());
    const careful = ready.find((open) => open.carefulCount > 0);
    if (careful) {
      takeFrom(careful, 1);
      return items;
    }
    turn += 1;
    // First an equal share for each, from another one every time; then what is left to whoever has more.
    const share = Math.max(1, Math.floor(BATCH_MAX_COUNT / Math.max(1, ready.length)));
    for (const count of [share, BATCH_MAX_COUNT]) {
      for (let i = 0; i < ready.length; i += 1) takeFrom(ready[(turn + i) % ready.length]!, count);
    }
    return items;
  };

  const run = async (): Promise<void> => {
    while (!isStopping) {
      isAwake = false;
      const items = collect();
      if (items.length === 0) {
        if (!isAwake) await new Promise<void>((resolve) => (wakeUp = resolve));
        wakeUp = undefined;
        continue;
      }
      await processItems(items);
      teams.trim();
    }
  };

  /** Never throws: what cannot be done now is left to the partitions' reopening. */
  const processItems = async (items: readonly BatchItem[]): Promise<void> => {
    absent.clear();
    const looked = new Map<string, Outcome>();
    let hasAsked = !shouldAskFirst;
    let hasCounted = false;
    let contentionCount = 0;
    for (;;) {
      // After every wait: a partition may have been closed meanwhile, and another one be open in its place.
      const usable = items.filter((item) => !item.open.isClosed);
      if (usable.length === 0) return;
      let plan: BatchPlan | undefined;
      try {
        if (!hasAsked) {
          hasAsked = true;
          await ask(usable, looked);
          continue;
        }
        if (!hasCounted && usable[0]!.open.carefulCount > 0) {
          hasCounted = true;
          if (await deps.poison.isSetAside(usable[0]!)) return;
          continue;
        }
        if (await loadMissing(usable)) continue;
        plan = new BatchPlan();
        decideAll(plan, usable, looked);
        faultPoints('decide');
        const startedMs = Date.now();
        const beganMs = performance.now();
        await session.query({
          ...commitBatchStatement,
          values: commitBatchValues(plan, deps.owner, deps.leaseTtlMs),
        });
        faultPoints('commit');
        tell(plan, usable.length, performance.now() - beganMs);
        if (deps.isTracing === true) commitTraced(usable, startedMs);
        committed(plan, usable);
        return;
      } catch (error) {
        if (plan) undo(plan);
        if (error instanceof PoisonFault) return await cutAt(usable, error.index, error.message);
        const violated = uniqueViolationOf(error);
        const kind = classify(error);
        // A repeat found by the index is how repeats are found, not an error.
        if (violated !== 'command_pkey') deps.metrics.databaseFailed(kind);
        if (violated === 'command_pkey') {
          shouldAskFirst = true;
          hasAsked = false;
        } else if (kind === 'fenced') closeFenced(error, usable);
        // A number of event_log that is taken is no command's fault: numbers are given under the lease.
        else if (kind === 'data' && !violated?.startsWith('event_log')) return await bisect(usable, error);
        else if (!isContention(error) || (contentionCount += 1) >= CONTENTION_MAX_COUNT)
          return await giveUp(error);
      }
    }
  };

  const ask = async (items: readonly BatchItem[], looked: Map<string, Outcome>): Promise<void> => {
    const keys: OutcomeKey[] = [];
    for (const { message } of items) {
      const key = peekOutcomeKey(message);
      if (key) keys.push(key);
    }
    const outcomes = await lookupOutcomes(session.query, keys);
    for (const outcome of outcomes) looked.set(outcome.key, outcome);
    if (outcomes.length === 0) shouldAskFirst = false;
  };

  /** Answers true when it had to wait: partitions may have been closed meanwhile. */
  const loadMissing = async (items: readonly BatchItem[]): Promise<boolean> => {
    let missing: Set<TeamId> | undefined;
    for (const { message } of items) {
      const { teamId } = message;
      if (teamId && !teams.get(teamId) && !absent.has(teamId)) (missing ??= new Set()).add(teamId);
    }
    if (!missing) {
      absent.clear();
      return false;
    }
    await loadTeams(session.query, teams, missing);
    for (const teamId of missing) if (!teams.get(teamId)) absent.add(teamId);
    return true;
  };
  /** Teams that this very batch was told do not exist. */
  const absent = new Set<TeamId>();

  const decideAll = (
    plan: BatchPlan,
    items: readonly BatchItem[],
    looked: ReadonlyMap<string, Outcome>,
  ): void => {
    const nowMs = deps.clock.nowMs();
    const known = (key: string): Outcome | undefined => recent.get(key) ?? looked.get(key);
    let open: OpenPartition | undefined;
    let context: Parameters<typeof decideMessage>[0] | undefined;
    for (let i = 0; i < items.length; i += 1) {
      const item = items[i]!;
      if (item.open !== open || !context) {
        open = item.open;
        context = { plan, part: partOf(plan, open), teams, nowMs, known };
      }
      const { trace } = item.message;
      if (trace === undefined) decideMessage(context, item.message, i);
      else decideTraced(trace, context, item.message, i);
    }
  };

  const committed = (plan: BatchPlan, items: readonly BatchItem[]): void => {
    batchCount += 1;
    failureCount = 0;
    // Each once. Not told by the position: after a reread from the first a batch may end exactly where it stood before.
    for (const open of new Set(items.map((item) => item.open))) {
      const part = plan.parts.get(open.p);
      if (!part || open.isClosed) continue;
      open.nextId = part.next;
      open.cmdSeq = part.cmdSeq;
      open.cmdMark = part.cmdMark();
      open.relay.append(part.events);
    }
    if (items[0]!.open.carefulCount > 0) {
      items[0]!.open.carefulCount -= 1;
      deps.poison.forget(items[0]!);
    }
    // Of a partition that was closed meanwhile nothing is remembered: the next to open it may find a database that
    // came back without this commit, and must decide its commands again.
    const isSound = items.every(({ open }) => !open.isClosed);
    if (isSound) for (const outcome of plan.outcomes.values()) recent.put(outcome);
    if (!waiters.isWaiting()) return;
    for (const outcome of plan.outcomes.values()) waiters.tell(outcome);
    for (const outcome of plan.repeats) waiters.tell(outcome);
  };

  const tell = (plan: BatchPlan, commandCount: number, durationMs: number): void => {
    deps.metrics.batchCommitted(commandCount, durationMs);
    for (const [outcome, byName] of plan.tally)
      for (const [name, count] of byName) deps.metrics.commandDecided(name, outcome, count);
  };

  const undo = (plan: BatchPlan): void => {
    for (const teamId of plan.touchedTeams) teams.drop(teamId);
  };

  const closeFenced = (error: unknown, items: readonly BatchItem[]): void => {
    const detail = (error as { detail?: string }).detail ?? '';
    const lost = new Set(detail === '' ? [] : detail.split(',').map(Number));
    const fenced = new Set(items.map((item) => item.open).filter((open) => lost.has(open.p)));
    // Cannot be told apart: then all of them, rather than one too few.
    for (const open of fenced.size > 0 ? fenced : new Set(items.map((item) => item.open))) {
      deps.reopen(open, 'fenced: the partition is not ours at the expected position');
    }
  };

  /** The good ones before the culprit keep their place before it, those behind it come after it. */
  const cutAt = async (items: readonly BatchItem[], index: number, reason: string): Promise<void> => {
    if (index > 0) await processItems(items.slice(0, index));
    const culprit = items[index]!;
    if (!culprit.open.isClosed) await setAside(culprit, reason);
    if (index + 1 < items.length) await processItems(items.slice(index + 1));
  };

  const bisect = async (items: readonly BatchItem[], error: unknown): Promise<void> => {
    if (items.length === 1) return await setAside(items[0]!, reasonOf(error));
    const middle = items.length >> 1;
    await processItems(items.slice(0, middle));
    await processItems(items.slice(middle));
  };

  const setAside = async (item: BatchItem, reason: string): Promise<void> => {
    try {
      if ((await deps.poison.attempt(item, reason)) === 'again') return await processItems([item]);
    } catch (error) {
      await giveUp(error);
    }
  };

  const giveUp = async (error: unknown): Promise<void> => {
    const reason = reasonOf(error);
    log.warn({ reason, kind: classify(error) }, 'batch not committed; partitions are opened again');
    recent.clear();
    // Whether the transaction committed is in doubt: the connection goes, and with it the doubt.
    session.drop(reason);
    deps.reopenAll(reason);
    await pause(backoffMs({ attempt: failureCount, baseMs: GIVE_UP_BASE_MS, maxMs: GIVE_UP_MAX_MS }));
    failureCount += 1;
  };

  return {
    start: async () => {
      running ??= run();
    },
    stop: async () => {
      isStopping = true;
      wake();
      await running;
    },
    wake,
    batchCount: () => batchCount,
  };
};

export const partOf = (plan: BatchPlan, open: OpenPartition): PlanPart => {
  let part = plan.parts.get(open.p);
  if (!part) {
    const { p, ownerEpoch, nextId, cmdSeq, cmdMark } = open;
    part = { p, ownerEpoch, expected: nextId, next: nextId, cmdSeq, cmdMark: () => cmdMark, events: [] };
    plan.parts.set(p, part);
  }
  return part;
};

const isContention = (error: unknown): boolean => /^40/.test(String((error as { code?: unknown }).code));
