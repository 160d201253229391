/** The command line of the bench. */

import { parseArgs } from 'node:util';
import { type Scenario, scenarioNames, scenarios } from './scenarios.ts';

export type BenchOptions = {
  readonly scenarios: readonly Scenario[];
  readonly seconds: number;
  readonly rounds: number;
  /** A round during which others used more cores than this is measured again … */
  readonly othersMaxCores: number;
  /** … until the bench has run so long. 0: never again. */
  readonly patienceSeconds: number;
  readonly jsonFile: string | undefined;
  /** Write tests/bench/RESULTS.md. */
  readonly isWriting: boolean;
  /** Folder for CPU profiles of gateway and writer. */
  readonly profileFolder: string | undefined;
};

export const usage = (): string =>
  'npm run bench -- [--scenario all|' +
  scenarioNames().join('|') +
  '[,…]] [--seconds 10] [--rounds 3] [--others 0.2] [--patience 0] [--json file] [--write] [--profile folder]';

export type ParsedOptions =
  { readonly ok: true; readonly options: BenchOptions } | { readonly ok: false; readonly problem: string };

const wholeNumber = (text: string, max: number): number | undefined => {
  const value = Number(text);
  return Number.isInteger(value) && value >= 1 && value <= max ? value : undefined;
};

const config = {
  scenario: { type: 'string', default: 'all' },
  seconds: { type: 'string', default: '10' },
  rounds: { type: 'string', default: '3' },
  others: { type: 'string', default: '0.2' },
  patience: { type: 'string', default: '0' },
  json: { type: 'string' },
  write: { type: 'boolean', default: false },
  profile: { type: 'string' },
} as const;

export const parseOptions = (args: readonly string[]): ParsedOptions => {
  let values;
  try {
    ({ values } = parseArgs({ args: [...args], options: config, strict: true, allowPositionals: false }));
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
  const wanted = values.scenario === 'all' ? scenarioNames() : values.scenario.split(',');
  const unknown = wanted.find((name) => !scenarioNames().includes(name));
  if (unknown !== undefined) return { ok: false, problem: `there is no scenario ${unknown}` };
  const seconds = wholeNumber(values.seconds, 3600);
  const rounds = wholeNumber(values.rounds, 100);
  if (seconds === undefined) return { ok: false, problem: '--seconds must be a whole number from 1 to 3600' };
  if (rounds === undefined) return { ok: false, problem: '--rounds must be a whole number from 1 to 100' };
  const othersMaxCores = Number(values.others);
  const patienceSeconds = Number(values.patience);
  if (!(othersMaxCores >= 0)) return { ok: false, problem: '--others must be a number of cores' };
  if (!(patienceSeconds >= 0)) return { ok: false, problem: '--patience must be a number of seconds' };
  return {
    ok: true,
    options: {
      scenarios: scenarios.filter(({ name }) => wanted.includes(name)),
      seconds,
      rounds,
      othersMaxCores,
      patienceSeconds,
      jsonFile: values.json,
      isWriting: values.write,
      profileFolder: values.profile,
    },
  };
};
