/**
 * The verdict on a round, from its folder alone: `pass`, `fail`, or `unknown`. Unknown is no pass: too little was
 * asked of the system before the fault, or nothing proves that there was a fault.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Violation, checkHistory } from '@chat/testkit/checking/checker';
import { loadHistories } from './load-history.ts';
import type { Nemesis } from './nemesis.ts';
import { type RoundMeta, files, readMeta } from './run-folder.ts';
import { type Statistics, createStatistics } from './statistics.ts';

export type Verdict = {
  readonly kind: 'pass' | 'fail' | 'unknown';
  /** Why it is no pass. */
  readonly reasons: readonly string[];
  readonly violations: readonly Violation[];
  /** Violations that this fault causes by design. */
  readonly allowed: readonly Violation[];
};

export type Judged = {
  readonly meta: RoundMeta;
  readonly verdict: Verdict;
  readonly statistics: Statistics;
};

/** Persisted messages before the first fault: fewer say nothing about a system under load. */
const ACKS_BEFORE_MIN_COUNT = 50;
/** I5 */
const RECOVERY_MAX_MS = 30_000;
const VIOLATIONS_KEPT_COUNT = 500;

export const decide = (
  meta: Pick<RoundMeta, 'problems' | 'allows'>,
  found: readonly Violation[],
  statistics: Statistics,
): Verdict => {
  const allowed = found.filter(({ name }) => meta.allows.includes(name));
  const violations = found.filter(({ name }) => !meta.allows.includes(name));
  const reasons: string[] = [...meta.problems];
  if (violations.length > 0) reasons.push(`${violations.length} violations`);
  for (const { target, action, recoveryMs } of statistics.faults) {
    if (recoveryMs === undefined) reasons.push(`not live again after ${action} of ${target}`);
    else if (recoveryMs > RECOVERY_MAX_MS) {
      reasons.push(`live again only ${Math.round(recoveryMs)} ms after ${action} of ${target} was healed`);
    }
  }
  if (reasons.length > 0) return { kind: 'fail', reasons, violations, allowed };
  const doubts: string[] = [];
  if (statistics.faults.length === 0) doubts.push('no fault took place');
  for (const { target, action, proofs } of statistics.faults) {
    if (proofs.length === 0) doubts.push(`nothing proves ${action} of ${target}`);
  }
  if (statistics.ackCountBefore < ACKS_BEFORE_MIN_COUNT) {
    doubts.push(`only ${statistics.ackCountBefore} messages were persisted before the first fault`);
  }
  return { kind: doubts.length > 0 ? 'unknown' : 'pass', reasons: doubts, violations, allowed };
};

/** Of a round that this machine could not run: nothing is known, and why. */
export const notRun = (
  round: Pick<RoundMeta, 'seed' | 'seconds' | 'rate'> & {
    readonly nemesis: Pick<Nemesis, 'name' | 'about' | 'allows'>;
  },
  reason: string,
): Judged => {
  const { nemesis, ...plan } = round;
  return {
    meta: {
      ...plan,
      run: `${nemesis.name}-${plan.seed}`,
      nemesis: nemesis.name,
      about: nemesis.about,
      allows: nemesis.allows ?? [],
      startedAt: new Date().toISOString(),
      commit: '',
      machine: '',
      teams: [],
      afterSeq: {},
      problems: [],
    },
    verdict: { kind: 'unknown', reasons: [reason], violations: [], allowed: [] },
    statistics: createStatistics().finish(),
  };
};

/** Checks a recorded round (again) and writes its verdict beside it. */
export const judgeFolder = async (folder: string): Promise<Judged> => {
  const meta = await readMeta(folder);
  const collector = createStatistics();
  const histories = await loadHistories(folder, meta, collector.take);
  const statistics = collector.finish();
  const verdict = decide(meta, histories.flatMap(checkHistory), statistics);
  const kept = { ...verdict, violations: verdict.violations.slice(0, VIOLATIONS_KEPT_COUNT) };
  await writeFile(
    join(folder, files.verdict),
    `${JSON.stringify({ verdict: kept, statistics }, undefined, 2)}\n`,
  );
  return { meta, verdict, statistics };
};
