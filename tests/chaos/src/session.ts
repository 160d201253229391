/** Rounds one after another: nemeses with equal needs share a system; each round has its folder, and the whole a table. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describeViolations } from '@chat/testkit/checking/checker';
import { ServerFault } from '@chat/testkit/servers/server-fault';
import { type Judged, notRun } from './judge.ts';
import type { Needs, Nemesis } from './nemesis.ts';
import { writeReport } from './report/html.ts';
import { writeOverview } from './report/overview.ts';
import { runRound } from './round.ts';
import { files } from './run-folder.ts';
import { type NodeArgs, type System, needsKey, startSystem } from './system.ts';

export type SessionOptions = {
  readonly nemeses: readonly Nemesis[];
  readonly seconds: number;
  readonly seed: number;
  readonly rate: number;
  readonly folder: string;
  /** Again and again, with fresh seeds, until then. */
  readonly untilMs?: number;
  readonly mutant?: { readonly name: string; readonly nodeArgs: NodeArgs };
  readonly patienceMs?: number;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
  readonly onRound?: (judged: Judged) => Promise<void>;
};

export type RoundResult = { readonly judged: Judged; readonly folder: string };

const group = (nemeses: readonly Nemesis[]): readonly (readonly Nemesis[])[] => {
  const groups = new Map<string, Nemesis[]>();
  for (const nemesis of nemeses) {
    const key = needsKey(nemesis.needs);
    groups.set(key, [...(groups.get(key) ?? []), nemesis]);
  }
  return [...groups.values()];
};

export const runSession = async (options: SessionOptions): Promise<readonly RoundResult[]> => {
  const results: RoundResult[] = [];
  const isOver = (): boolean =>
    options.signal.aborted || (options.untilMs !== undefined && Date.now() >= options.untilMs);
  let pass = 0;
  do {
    for (const nemeses of group(options.nemeses)) {
      if (isOver() && results.length > 0) break;
      const needs = nemeses[0]?.needs ?? {};
      options.say(`system: ${needsKey(needs)}`);
      const system = await startOrWhyNot(needs, options.mutant?.nodeArgs);
      if (typeof system === 'string') {
        options.say(`  UNKNOWN: ${system}`);
        results.push(...nemeses.map((nemesis) => resultOfNone(options, nemesis, pass, system)));
        continue;
      }
      try {
        for (const nemesis of nemeses) {
          if (isOver() && results.length > 0) break;
          const seed = options.seed + pass;
          results.push(await oneRound(options, system, nemesis, seed));
          await writeOverview(options.folder, results);
        }
      } finally {
        await system.stop();
      }
    }
    pass += 1;
    // A machine that cannot run any of them would say so again and again.
    if (results.every(({ judged }) => judged.statistics.ackCount === 0)) break;
  } while (options.untilMs !== undefined && !isOver());
  return results;
};

/** What this machine cannot give is no fault of the system under test. */
const startOrWhyNot = async (needs: Needs, nodeArgs?: NodeArgs): Promise<System | string> => {
  try {
    return await startSystem(needs, nodeArgs);
  } catch (error) {
    if (error instanceof ServerFault && error.code === 'CANNOT_MOUNT') return error.message;
    throw error;
  }
};

const resultOfNone = (
  { seed, seconds, rate, folder }: SessionOptions,
  nemesis: Nemesis,
  pass: number,
  reason: string,
): RoundResult => ({
  judged: notRun({ nemesis, seed: seed + pass, seconds, rate }, reason),
  folder: join(folder, `${nemesis.name}-${seed + pass}`),
});

const oneRound = async (
  options: SessionOptions,
  system: System,
  nemesis: Nemesis,
  seed: number,
): Promise<RoundResult> => {
  const { say, seconds, rate, mutant } = options;
  const folder = join(options.folder, `${nemesis.name}-${seed}`);
  say(`${nemesis.name}, seed ${seed}, ${seconds} s`);
  const judged = await runRound({
    system,
    nemesis,
    seconds,
    seed,
    rate,
    folder,
    say,
    ...(mutant ? { mutant: mutant.name } : {}),
    ...(options.patienceMs ? { patienceMs: options.patienceMs } : {}),
  });
  const report = await writeReport(judged, folder);
  say(`  ${summary(judged)}`);
  const { verdict } = judged;
  if (verdict.kind !== 'pass') {
    for (const reason of verdict.reasons) say(`  - ${reason}`);
    if (verdict.violations.length > 0) say(describeViolations(verdict.violations));
    say(`  evidence: ${folder}; read ${report}`);
  }
  await options.onRound?.(judged);
  // A long session would fill the disk; what passed is told by its verdict, samples and report.
  if (options.untilMs !== undefined && verdict.kind === 'pass') {
    for (const file of [files.history, files.log, files.stream, files.api]) await rm(join(folder, file));
  }
  return { judged, folder };
};

export const summary = ({ verdict, statistics }: Judged): string => {
  const recoveries = statistics.faults.map(({ recoveryMs }) => recoveryMs ?? Infinity);
  const worst = recoveries.length > 0 ? `${Math.round(Math.max(...recoveries))} ms` : 'none';
  return [
    verdict.kind.toUpperCase(),
    `${statistics.ackCount} persisted`,
    `${statistics.deliveryCount} delivered`,
    `${statistics.faults.length} faults`,
    `${verdict.violations.length} violations`,
    verdict.allowed.length > 0 ? `${verdict.allowed.length} allowed` : '',
    `longest recovery ${worst}`,
  ]
    .filter(Boolean)
    .join(', ');
};
