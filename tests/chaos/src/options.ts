/** The command line of `npm run chaos`. A bad one is answered in one sentence. */

import type { ReadStore } from './nemesis.ts';

export type Options = {
  readonly command: 'run' | 'mutants' | 'list' | 'check' | 'help';
  readonly nemeses: readonly string[];
  readonly isAll: boolean;
  readonly isShort: boolean;
  readonly seconds: number;
  readonly minutes: number | undefined;
  readonly seed: number;
  readonly rate: number;
  readonly out: string | undefined;
  readonly check: string | undefined;
  readonly mutant: string | undefined;
  /** Where the read model is, for nemeses that do not need a certain store. */
  readonly readStore: ReadStore | undefined;
  readonly isRecording: boolean;
};

export type ParsedOptions =
  { readonly ok: true; readonly options: Options } | { readonly ok: false; readonly sentence: string };

export const usage = `npm run chaos -- --nemesis kill-writer [--seconds 30] [--seed 7] [--rate 180]
  --nemesis NAME   a fault to inject; may be given again, or with commas
  --all            every nemesis, in rounds; with --minutes 60 again and again with fresh seeds until the time is over
  --short          every nemesis once for 20 s: what CI does
  --seconds N      how long each nemesis has (default 30)
  --seed N         choices of load and faults (default: from the clock, printed)
  --rate N         messages a second over all clients (default 180)
  --read-store S   postgres (default), mongodb or mongodb-set: where the read model is
  --out DIR        where the evidence goes (default: a folder under the system's temporary one, printed)
  --record         merge the results into tests/chaos/RESULTS.md
  --mutant NAME    run the apps with a known bug, under the nemesis that shows it; exit 0 when it is caught
  --mutants        all known bugs, one after another
  --check DIR      judge a recorded round again
  --list           the nemeses and what each does`;

const readStores: readonly ReadStore[] = ['postgres', 'mongodb', 'mongodb-set'];
const defaults = { seconds: 30, shortSeconds: 20, rate: 180 } as const;
const flags = new Set(['--all', '--short', '--list', '--help', '--record', '--mutants']);
const valued = new Set([
  '--nemesis',
  '--seconds',
  '--minutes',
  '--seed',
  '--rate',
  '--read-store',
  '--out',
  '--check',
  '--mutant',
]);

const numbers = {
  '--seconds': { min: 1, max: 3_600 },
  '--minutes': { min: 1, max: 24 * 60 },
  '--seed': { min: 0, max: 4_294_967_295 },
  '--rate': { min: 1, max: 5_000 },
} as const;

const readArguments = (argv: readonly string[]) => {
  const given = new Map<string, string[]>();
  for (let i = 0; i < argv.length; i += 1) {
    const [name = '', inline] = (argv[i] ?? '').split(/=(.*)/s, 2);
    if (flags.has(name) && inline === undefined) {
      given.set(name, []);
      continue;
    }
    if (!valued.has(name))
      return { ok: false, sentence: `There is no option ${argv[i]}; see --help.` } as const;
    const value = inline ?? argv[(i += 1)];
    if (value === undefined || value === '' || value.startsWith('--')) {
      return { ok: false, sentence: `${name} needs a value.` } as const;
    }
    given.set(name, [...(given.get(name) ?? []), value]);
  }
  return { ok: true, given } as const;
};

export const parseOptions = (
  argv: readonly string[],
  known: {
    readonly nemeses: readonly string[];
    readonly mutants: readonly string[];
    readonly freshSeed: number;
  },
): ParsedOptions => {
  const refuse = (sentence: string): ParsedOptions => ({ ok: false, sentence });
  const read = readArguments(argv);
  if (!read.ok) return refuse(read.sentence);
  const { given } = read;
  const values: Record<string, number> = {};
  for (const [name, { min, max }] of Object.entries(numbers)) {
    const text = given.get(name)?.at(-1);
    if (text === undefined) continue;
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      return refuse(`${name} must be a whole number from ${min} to ${max}, not ${text}.`);
    }
    values[name] = value;
  }
  const isAll = given.has('--all');
  const isShort = given.has('--short');
  const named = (given.get('--nemesis') ?? []).flatMap((text) => text.split(','));
  const unknown = named.find((name) => !known.nemeses.includes(name));
  if (unknown !== undefined) return refuse(`There is no nemesis ${unknown}; --list names them.`);
  const mutant = given.get('--mutant')?.at(-1);
  if (mutant !== undefined && !known.mutants.includes(mutant)) {
    return refuse(`There is no mutant ${mutant}; there are ${known.mutants.join(', ') || 'none'}.`);
  }
  const readStore = given.get('--read-store')?.at(-1);
  if (readStore !== undefined && !readStores.some((known) => known === readStore)) {
    return refuse(`--read-store must be one of ${readStores.join(', ')}, not ${readStore}.`);
  }
  const check = given.get('--check')?.at(-1);
  const command = given.has('--help')
    ? 'help'
    : given.has('--list')
      ? 'list'
      : check !== undefined
        ? 'check'
        : mutant !== undefined || given.has('--mutants')
          ? 'mutants'
          : 'run';
  if (command === 'run' && named.length === 0 && !isAll && !isShort) {
    return refuse('Say which nemesis: --nemesis NAME, --all or --short; --list names them.');
  }
  return {
    ok: true,
    options: {
      command,
      nemeses: named.length > 0 ? named : known.nemeses,
      isAll,
      isShort,
      seconds: values['--seconds'] ?? (isShort ? defaults.shortSeconds : defaults.seconds),
      minutes: values['--minutes'],
      seed: values['--seed'] ?? known.freshSeed,
      rate: values['--rate'] ?? defaults.rate,
      out: given.get('--out')?.at(-1),
      check,
      mutant,
      readStore: readStore as ReadStore | undefined,
      isRecording: given.has('--record'),
    },
  };
};
