/** Rounds → one table in Markdown, readable in a terminal as well. */

import { type Pair, type ScenarioResult, perSecond } from './bench.ts';
import { LOAD_CLIENT, type Round } from './measure.ts';

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** Per pair, then the median of the ratios: what slows the machine for a while slows both halves of a pair. */
export const ratioOf = ({ scenario, pairs }: ScenarioResult): number =>
  median(pairs.map(({ raw, ours }) => perSecond(ours, scenario.unit) / perSecond(raw, scenario.unit)));

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join('\n');
};

const count = (value: number): string => Math.round(value).toLocaleString('en');
const ms = (value: number): string => (Number.isNaN(value) || value === null ? '–' : value.toFixed(1));

const throughputRow = (name: string, who: string, rounds: readonly Round[]): string[] => {
  const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const pair = (pick: (round: Round) => { p50Ms: number; p99Ms: number }): string =>
    `${ms(of((round) => pick(round).p50Ms))} / ${ms(of((round) => pick(round).p99Ms))}`;
  return [
    name,
    who,
    count(of((round) => perSecond(round, 'messages'))),
    count(of((round) => perSecond(round, 'deliveries'))),
    pair((round) => round.load.toPersisted),
    pair((round) => round.load.toOwnEvent),
    pair((round) => round.load.toLastMember),
    of((round) => round.othersCores).toFixed(2),
  ];
};

const throughput = (results: readonly ScenarioResult[]): string =>
  table([
    [
      'scenario',
      'server',
      'msg/s',
      'deliveries/s',
      'persisted p50 / p99 ms',
      'own event',
      'last member',
      'others',
    ],
    ...results.flatMap(({ scenario, pairs }) => [
      throughputRow(
        scenario.name,
        'raw uWS',
        pairs.map(({ raw }) => raw),
      ),
      throughputRow(
        '',
        'RealTimeChat',
        pairs.map(({ ours }) => ours),
      ),
    ]),
  ]);

const cpuTable = (
  results: readonly ScenarioResult[],
  of: (round: Round) => Readonly<Record<string, number>>,
  digits: number,
): string => {
  const names = Object.keys(of(results[0]!.pairs[0]!.ours)).filter((name) => name !== LOAD_CLIENT);
  const cell = (rounds: readonly Round[], name: string): string =>
    median(rounds.map((round) => of(round)[name] ?? 0)).toFixed(digits);
  return table([
    ['scenario', ...names, LOAD_CLIENT, 'raw uWS', 'load client (raw)'],
    ...results.map(({ scenario, pairs }) => {
      const ours = pairs.map((pair) => pair.ours);
      const raw = pairs.map((pair) => pair.raw);
      const mine = [...names, LOAD_CLIENT].map((name) => cell(ours, name));
      return [scenario.name, ...mine, cell(raw, 'raw uWS'), cell(raw, LOAD_CLIENT)];
    }),
  ]);
};

const aims = (results: readonly ScenarioResult[]): string =>
  table([
    ['scenario', 'ratio to raw (median)', 'each pair', 'aim', 'met', 'of the bare pipeline'],
    ...results.map((result) => {
      const { scenario, pairs } = result;
      const ratio = ratioOf(result);
      const each = pairs.map(({ raw, ours }: Pair) =>
        (perSecond(ours, scenario.unit) / perSecond(raw, scenario.unit)).toFixed(3),
      );
      const bare = scenario.barePerSecond;
      const absolute = median(pairs.map(({ ours }) => perSecond(ours, scenario.unit)));
      return [
        scenario.name,
        ratio.toFixed(3),
        each.join(', '),
        scenario.aimRatio === undefined ? '–' : `≥ ${scenario.aimRatio.toFixed(2)}`,
        scenario.aimRatio === undefined ? '–' : ratio >= scenario.aimRatio ? 'yes' : 'NO',
        bare === undefined ? '–' : (absolute / bare).toFixed(2),
      ];
    }),
  ]);

export const faultsOf = (results: readonly ScenarioResult[]): readonly string[] =>
  results.flatMap(({ scenario, pairs }) =>
    pairs.flatMap(({ raw, ours }) => [
      ...raw.load.faults.map((fault) => `${scenario.name}, raw: ${fault}`),
      ...ours.load.faults.map((fault) => `${scenario.name}, ours: ${fault}`),
    ]),
  );

export const report = (results: readonly ScenarioResult[]): string =>
  [
    throughput(results),
    'Ratio in the same run, and against the bare pipeline of the design (its own machine, idle):',
    aims(results),
    'CPU µs a message:',
    cpuTable(results, (round) => round.cpuUsPerMessage, 1),
    'Cores in use:',
    cpuTable(results, (round) => round.cores, 2),
  ].join('\n\n');
