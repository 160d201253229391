/**
 * Does a version of the core read model hold what the log says? Counts, then digests of ranges of messages, then rows.
 *
 * Order: the log is read up to the checkpoint (long, nothing is held meanwhile); then a snapshot of the store is opened,
 * the log is read on to the checkpoint *in it*, and everything is compared. A projector that goes on meanwhile changes
 * nothing in the snapshot, hence no false alarm; and nothing in the store can hide behind "that may have just come".
 */

import { reasonOf } from '@chat/platform/faults';
import { type Checkpoint, LogFault } from '../port.ts';
import { type BadRange, findBadRanges, nameBadRanges } from './compare-messages.ts';
import { compareStates } from './compare-states.ts';
import { ExpectedState } from './expected.ts';
import { type Drift, type DriftTotals, Findings, type RowCounts } from './findings.ts';
import type { DriftLog, DriftScope, DriftStore } from './port.ts';

/** `counts`: of messages only how many there are in each range. Everything else is compared in full in either case. */
export type DriftDepth = 'counts' | 'rows';

export type DriftCheckDeps = { readonly store: DriftStore; readonly log: DriftLog };

export type DriftReport =
  | {
      readonly kind: 'checked';
      readonly partition: number;
      readonly epoch: string;
      /** The checkpoint at which both sides were compared. */
      readonly upTo: number;
      readonly depth: DriftDepth;
      readonly rows: RowCounts;
      readonly totals: DriftTotals;
      /** Rows that drifted. */
      readonly driftCount: number;
      readonly drifts: readonly Drift[];
      /** There are more than are named. */
      readonly isTruncated: boolean;
      readonly durationMs: number;
    }
  /** Nothing can be said: nothing applied yet, or the log is not the one that was applied. */
  | { readonly kind: 'unknown'; readonly partition: number; readonly reason: string };

export type DriftChecked = {
  readonly report: DriftReport;
  readonly expected: ExpectedState;
  readonly findings: Findings;
};

/** How often the store may turn out to be set back while the log is read. */
const SET_BACK_MAX_COUNT = 3;

/** Why the log cannot be compared with a store at this checkpoint; undefined: it can. */
export const otherHistory = async (
  log: DriftLog,
  partition: number,
  checkpoint: Checkpoint,
): Promise<string | undefined> => {
  const epoch = await log.epoch(partition);
  if (epoch !== checkpoint.epoch)
    return `the read model is of epoch ${checkpoint.epoch}, the log of ${String(epoch)}`;
  const digest = await log.digest(partition, checkpoint.seq);
  if (digest !== checkpoint.digest)
    return `event ${checkpoint.seq} of the log is not the one that was applied`;
  return undefined;
};

/** Throws on trouble of a server. */
export const checkDrift = async (
  { store, log }: DriftCheckDeps,
  scope: DriftScope,
  depth: DriftDepth,
  signal?: AbortSignal,
): Promise<DriftChecked> => {
  const beganMs = performance.now();
  for (let attempt = 0; attempt < SET_BACK_MAX_COUNT; attempt += 1) {
    const expected = new ExpectedState(scope);
    const findings = new Findings();
    const unknown = (reason: string): DriftChecked => ({
      report: { kind: 'unknown', partition: scope.partition, reason },
      expected,
      findings,
    });
    try {
      const before = await store.inSnapshot(scope, async (view) => view.checkpoint);
      if (!before) return unknown('nothing of the partition is applied yet');
      const why = await otherHistory(log, scope.partition, before);
      if (why !== undefined) return unknown(why);
      await expected.advance(log, before.seq, signal);
      const looked = await look({ store, log }, expected, before, depth, findings);
      if (!looked) continue;
      await nameBadRanges(log, expected, looked.bad, findings);
      return { report: reportOf(expected, looked.checkpoint, depth, findings, beganMs), expected, findings };
    } catch (error) {
      if (error instanceof LogFault) return unknown(reasonOf(error));
      throw error;
    }
  }
  throw new Error(`the read model was set back ${SET_BACK_MAX_COUNT} times while it was compared`);
};

/** Undefined: the store stands elsewhere than on the way on from `before`. */
const look = (
  { store, log }: DriftCheckDeps,
  expected: ExpectedState,
  before: Checkpoint,
  depth: DriftDepth,
  findings: Findings,
): Promise<{ readonly bad: readonly BadRange[]; readonly checkpoint: Checkpoint } | undefined> =>
  store.inSnapshot(expected.scope, async (view) => {
    const { checkpoint } = view;
    if (!checkpoint || checkpoint.epoch !== before.epoch || checkpoint.seq < before.seq) return undefined;
    await expected.advance(log, checkpoint.seq);
    await compareStates(view, expected, findings);
    const bad = await findBadRanges(view, expected, depth === 'rows', findings);
    return { bad, checkpoint };
  });

const reportOf = (
  { scope }: ExpectedState,
  { epoch, seq }: Checkpoint,
  depth: DriftDepth,
  findings: Findings,
  beganMs: number,
): DriftReport => ({
  kind: 'checked',
  partition: scope.partition,
  epoch,
  upTo: seq,
  depth,
  rows: findings.counts,
  totals: findings.totals,
  driftCount: findings.rowCount(),
  drifts: findings.drifts,
  isTruncated: findings.isTruncated,
  durationMs: Math.round(performance.now() - beganMs),
});
