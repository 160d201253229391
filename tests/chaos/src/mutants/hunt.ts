/** One known bug: a round of the system that has it, and whether the checker says so by its name. */

import { join } from 'node:path';
import type { Judged } from '../judge.ts';
import { findNemesis } from '../nemeses/all.ts';
import { runRound } from '../round.ts';
import { startSystem } from '../system.ts';
import { type Mutant, nodeArgsOf } from './mutant.ts';

/** With the waits below, a round is judged within the minute that the suite has for each. */
const FAULTS_SECONDS = 12;
const PATIENCE_MS = 6_000;

export type Hunted = {
  readonly isCaught: boolean;
  /** From the first operation to the verdict; the start of the system is not counted. */
  readonly seconds: number;
  /** What was found, or what was found instead. */
  readonly evidence: string;
  readonly judged: Judged;
};

export type HuntOptions = {
  readonly mutant: Mutant;
  readonly seed: number;
  readonly rate: number;
  readonly folder: string;
  readonly say?: (text: string) => void;
};

export const hunt = async ({ mutant, seed, rate, folder, say }: HuntOptions): Promise<Hunted> => {
  const nemesis = findNemesis(mutant.nemesis);
  if (!nemesis) throw new Error(`there is no nemesis ${mutant.nemesis}`);
  const system = await startSystem(nemesis.needs, nodeArgsOf(mutant));
  try {
    const fromMs = performance.now();
    const judged = await runRound({
      system,
      nemesis,
      seed,
      rate,
      seconds: FAULTS_SECONDS,
      patienceMs: PATIENCE_MS,
      mutant: mutant.name,
      folder: join(folder, `mutant-${mutant.name}-${seed}`),
      ...(say ? { say } : {}),
    });
    const { violations, reasons } = judged.verdict;
    const counts = new Map<string, number>();
    for (const { name } of violations) counts.set(name, (counts.get(name) ?? 0) + 1);
    const found = [...counts].map(([name, count]) => `${name} × ${count}`);
    return {
      isCaught: violations.some(({ name }) => mutant.caughtBy.includes(name)),
      seconds: Math.round((performance.now() - fromMs) / 1_000),
      evidence: [...found, ...(found.length === 0 ? reasons : [])].join(', ') || 'nothing',
      judged,
    };
  } finally {
    await system.stop();
  }
};
