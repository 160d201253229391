/**
 * `--record`: one line a round in `tests/chaos/results.jsonl`, and `RESULTS.md` made from all of them. Rounds with a
 * known bug (mutants) are kept apart: they are meant to fail.
 */

import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import type { Judged } from '../judge.ts';
import { percentile } from '../statistics.ts';

export type RecordedRound = {
  readonly at: string;
  readonly commit: string;
  readonly machine: string;
  readonly nemesis: string;
  /** Where the read model was, when not in PostgreSQL. */
  readonly readStore?: string;
  readonly mutant?: string;
  readonly seed: number;
  readonly seconds: number;
  readonly verdict: 'pass' | 'fail' | 'unknown';
  readonly ackCount: number;
  readonly deliveryCount: number;
  readonly faultCount: number;
  /** By name. */
  readonly violations: Readonly<Record<string, number>>;
  readonly reasons: readonly string[];
  /** What was found and what became of it; written by a person into `results.jsonl`. */
  readonly note?: string;
  /** One for each fault; null: never. */
  readonly recoveriesMs: readonly (number | null)[];
};

const folder = join(repositoryRoot, 'tests/chaos');
const dataFile = join(folder, 'results.jsonl');
const pageFile = join(folder, 'RESULTS.md');

export const recordedRound = ({ meta, verdict, statistics }: Judged): RecordedRound => {
  const violations: Record<string, number> = {};
  for (const { name } of verdict.violations) violations[name] = (violations[name] ?? 0) + 1;
  return {
    at: meta.startedAt,
    commit: meta.commit,
    machine: meta.machine,
    nemesis: meta.nemesis,
    ...(meta.readStore ? { readStore: meta.readStore } : {}),
    ...(meta.mutant ? { mutant: meta.mutant } : {}),
    seed: meta.seed,
    seconds: meta.seconds,
    verdict: verdict.kind,
    ackCount: statistics.ackCount,
    deliveryCount: statistics.deliveryCount,
    faultCount: statistics.faults.length,
    violations,
    reasons: verdict.reasons.slice(0, 5),
    recoveriesMs: statistics.faults.map(({ recoveryMs }) =>
      recoveryMs === undefined ? null : Math.round(recoveryMs),
    ),
  };
};

const thousands = (value: number): string => value.toLocaleString('en-US');
const sum = (rounds: readonly RecordedRound[], of: (round: RecordedRound) => number): number =>
  rounds.reduce((total, round) => total + of(round), 0);
const violationCount = ({ violations }: RecordedRound): number =>
  Object.values(violations).reduce((total, count) => total + count, 0);
const labelOf = ({ nemesis, readStore }: RecordedRound): string =>
  readStore === undefined ? nemesis : `${nemesis} (${readStore})`;
const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const nemesisRow = (nemesis: string, rounds: readonly RecordedRound[]): string => {
  const recoveries = rounds
    .flatMap(({ recoveriesMs }) => recoveriesMs.map((ms) => ms ?? Infinity))
    .sort((a, b) => a - b);
  const told = (ms: number): string => (Number.isFinite(ms) ? `${thousands(ms)} ms` : 'never');
  return row([
    nemesis,
    String(rounds.length),
    String(rounds.filter(({ verdict }) => verdict === 'pass').length),
    thousands(sum(rounds, ({ ackCount }) => ackCount)),
    thousands(sum(rounds, ({ faultCount }) => faultCount)),
    String(sum(rounds, violationCount)),
    recoveries.length > 0 ? told(percentile(recoveries, 0.5)) : '–',
    recoveries.length > 0 ? told(recoveries.at(-1) ?? 0) : '–',
  ]);
};

const notPassed = (rounds: readonly RecordedRound[]): readonly string[] => {
  const bad = rounds.filter(({ verdict }) => verdict !== 'pass');
  if (bad.length === 0) return [];
  return [
    '## Rounds that did not pass',
    '',
    row(['when', 'commit', 'nemesis', 'seed', 'verdict', 'why', 'what became of it']),
    row(['---', '---', '---', '---', '---', '---', '---']),
    ...bad.map(({ at, commit, nemesis, seed, verdict, reasons, violations, note = 'open' }) => {
      const names = Object.entries(violations).map(([name, count]) => `${name} × ${count}`);
      const why = [...names, ...reasons].join('; ').replaceAll('|', '/').replaceAll('\n', ' ').slice(0, 300);
      return row([`${at.slice(0, 16)}Z`, commit, nemesis, String(seed), verdict, why, note]);
    }),
    '',
  ];
};

const mutantTable = (rounds: readonly RecordedRound[]): readonly string[] => {
  if (rounds.length === 0) return [];
  const last = new Map(rounds.map((round) => [round.mutant ?? '', round]));
  return [
    '## Known bugs, made on purpose',
    '',
    row(['bug', 'nemesis', 'seconds', 'caught', 'violations']),
    row(['---', '---', '---:', '---', '---']),
    ...[...last].map(([mutant, { nemesis, seconds, verdict, violations }]) =>
      row([
        mutant,
        nemesis,
        String(seconds),
        verdict === 'fail' ? 'yes' : 'no',
        Object.entries(violations)
          .map(([name, count]) => `${name} × ${count}`)
          .join(', '),
      ]),
    ),
    '',
  ];
};

export const resultsPage = (all: readonly RecordedRound[]): string => {
  const rounds = all.filter(({ mutant }) => mutant === undefined);
  const nemeses = [...new Set(rounds.map(labelOf))].sort();
  const last = rounds.at(-1);
  const commits = [...new Set(rounds.map(({ commit }) => commit))];
  return [
    '# Results of the fault suite',
    '',
    '`npm run chaos -- --all --record` adds to `results.jsonl` and writes this page from it; [README.md](README.md) says what is done and how it is judged.',
    '',
    `- ${thousands(sum(rounds, ({ ackCount }) => ackCount))} messages were persisted and ${thousands(sum(rounds, ({ deliveryCount }) => deliveryCount))} events delivered in ${rounds.length} rounds with ${thousands(sum(rounds, ({ faultCount }) => faultCount))} faults; ${sum(rounds, violationCount)} violations.`,
    `- Commits ${commits.join(', ') || 'none'}; last round ${last ? `${last.at.slice(0, 16)}Z on ${last.machine}` : 'never'}.`,
    '- Recovery: from healed until every client that wrote had a message persisted again. For kill -9, healed is when the platform has started the process, not when that is ready.',
    '',
    row(['nemesis', 'rounds', 'passed', 'persisted', 'faults', 'violations', 'recovery p50', 'longest']),
    row(['---', '---:', '---:', '---:', '---:', '---:', '---:', '---:']),
    ...nemeses.map((nemesis) =>
      nemesisRow(
        nemesis,
        rounds.filter((round) => labelOf(round) === nemesis),
      ),
    ),
    '',
    ...notPassed(rounds),
    ...mutantTable(all.filter(({ mutant }) => mutant !== undefined)),
  ].join('\n');
};

export const record = async (judged: Judged): Promise<void> => {
  await appendFile(dataFile, `${JSON.stringify(recordedRound(judged))}\n`);
  const lines = (await readFile(dataFile, 'utf8')).split('\n').filter((line) => line.length > 0);
  await writeFile(pageFile, resultsPage(lines.map((line) => JSON.parse(line) as RecordedRound)));
};
