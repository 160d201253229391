/**
 * The environment, read once and before any I/O. A shape is declared (`{ WS_PORT: port({ default: 7001, doc }) }`),
 * `readConfig` answers a typed object or throws one ConfigError that names *every* bad or missing name. Values of
 * secrets never appear in it.
 */

import { hostname } from 'node:os';
import { PARTITION_COUNT_MAX } from '@chat/contracts/ids';
import { ConfigError } from './faults.ts';
import { logLevels } from './log.ts';

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

export type Option<T> = {
  readonly parse: (raw: string) => Parsed<T>;
  readonly defaultValue: { readonly value: T } | undefined;
  readonly doc: string;
  readonly isSecret: boolean;
};

export type OptionInput<T> = { readonly default?: T; readonly doc?: string };
export type Shape = Readonly<Record<string, Option<unknown>>>;
export type ConfigOf<S extends Shape> = { readonly [K in keyof S]: S[K] extends Option<infer T> ? T : never };

const good = <T>(value: T): Parsed<T> => ({ ok: true, value });
const bad = (problem: string): Parsed<never> => ({ ok: false, problem });

const option = <T>(
  input: OptionInput<T>,
  parse: (raw: string) => Parsed<T>,
  isSecret = false,
): Option<T> => ({
  parse,
  defaultValue: input.default === undefined ? undefined : { value: input.default },
  doc: input.doc ?? '',
  isSecret,
});

export const str = (input: OptionInput<string> & { readonly pattern?: RegExp } = {}): Option<string> =>
  option(input, (raw) =>
    input.pattern === undefined || input.pattern.test(raw) ? good(raw) : bad(`must match ${input.pattern}`),
  );

/** Like `str`, but its value is shown nowhere. */
export const secret = (input: OptionInput<string> & { readonly minLength?: number } = {}): Option<string> =>
  option(
    input,
    (raw) =>
      raw.length >= (input.minLength ?? 1)
        ? good(raw)
        : bad(`must have at least ${input.minLength} characters`),
    true,
  );

export type IntInput = OptionInput<number> & { readonly min?: number; readonly max?: number };

export const int = (input: IntInput = {}): Option<number> =>
  option(input, (raw) => {
    const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = input;
    const value = /^-?\d{1,16}$/.test(raw) ? Number(raw) : NaN;
    if (!Number.isSafeInteger(value)) return bad('must be a whole number');
    return value >= min && value <= max ? good(value) : bad(`must be ${rangeText(min, max)}`);
  });

const rangeText = (min: number, max: number): string => {
  if (min === Number.MIN_SAFE_INTEGER) return `at most ${max}`;
  return max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `between ${min} and ${max}`;
};

/** A share from 0 to 1, such as `0.01`. */
export const ratio = (input: OptionInput<number> = {}): Option<number> =>
  option(input, (raw) => {
    const value = /^\d(\.\d{1,9})?$/.test(raw) ? Number(raw) : NaN;
    return value >= 0 && value <= 1 ? good(value) : bad('must be a number from 0 to 1');
  });

/** A TCP port; 0 asks the system for a free one. */
export const port = (input: OptionInput<number> = {}): Option<number> =>
  int({ ...input, min: 0, max: 65_535 });

export const bool = (input: OptionInput<boolean> = {}): Option<boolean> =>
  option(input, (raw) => {
    if (raw === 'true' || raw === '1') return good(true);
    return raw === 'false' || raw === '0' ? good(false) : bad('must be true or false');
  });

/** Comma-separated; blanks around the entries are dropped, empty entries too. At least one must remain. */
export const list = (input: OptionInput<readonly string[]> = {}): Option<readonly string[]> =>
  option(input, (raw) => {
    const entries = raw
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');
    return entries.length > 0 ? good<readonly string[]>(entries) : bad('must name at least one entry');
  });

export const oneOf = <const T extends string>(values: readonly T[], input: OptionInput<T> = {}): Option<T> =>
  option(input, (raw) =>
    (values as readonly string[]).includes(raw) ? good(raw as T) : bad(`must be one of ${values.join(', ')}`),
  );

const units = (raw: string, factors: Readonly<Record<string, number>>, what: string): Parsed<number> => {
  const match = /^(\d{1,15})\s*([a-zA-Z]*)$/.exec(raw);
  const factor = factors[match?.[2] ?? '-'];
  const value = factor === undefined ? NaN : Number(match?.[1]) * factor;
  return Number.isSafeInteger(value) ? good(value) : bad(`must be ${what}`);
};

/** `1500`, `1500ms`, `30s`, `10m`, `2h`, `7d` → milliseconds. */
export const durationMs = (input: OptionInput<number> = {}): Option<number> =>
  option(input, (raw) =>
    units(
      raw,
      { '': 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 },
      'a duration such as 500ms, 30s or 10m',
    ),
  );

/** `1024`, `64KiB`, `16MiB`, `1GiB` → bytes. */
export const bytes = (input: OptionInput<number> = {}): Option<number> =>
  option(input, (raw) =>
    units(
      raw,
      { '': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 },
      'a size such as 65536, 64KiB or 16MiB',
    ),
  );

export type UrlInput = OptionInput<string> & {
  readonly protocols?: readonly string[];
  readonly isSecret?: boolean;
};

/** A URL, given back as it was written. Marked secret when it may hold a password (`DATABASE_URL`). */
export const url = (input: UrlInput = {}): Option<string> =>
  option(
    input,
    (raw) => {
      const protocol = URL.canParse(raw) ? new URL(raw).protocol.slice(0, -1) : undefined;
      if (protocol === undefined) return bad('must be a URL');
      const { protocols } = input;
      return protocols === undefined || protocols.includes(protocol)
        ? good(raw)
        : bad(`must be a URL that begins with ${protocols.map((p) => `${p}://`).join(' or ')}`);
    },
    input.isSecret === true,
  );

/** May be missing; then the value is undefined. */
export const optional = <T>(inner: Option<T>): Option<T | undefined> => ({
  parse: inner.parse,
  defaultValue: { value: undefined },
  doc: inner.doc,
  isSecret: inner.isSecret,
});

export type Env = Readonly<Record<string, string | undefined>>;

/** Reads the shape from the environment. An empty value counts as missing. Throws ConfigError naming every problem. */
export const readConfig = <S extends Shape>(shape: S, env: Env): ConfigOf<S> => {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, opt] of Object.entries(shape)) {
    const raw = env[name]?.trim() ?? '';
    if (raw === '') {
      if (opt.defaultValue !== undefined) values[name] = opt.defaultValue.value;
      else problems.push(`${name} is missing${opt.doc === '' ? '' : ` (${opt.doc})`}`);
      continue;
    }
    const parsed = opt.parse(raw);
    if (parsed.ok) values[name] = parsed.value;
    else problems.push(`${name}${opt.isSecret ? '' : `=${shown(raw)}`} ${parsed.problem}`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as ConfigOf<S>;
};

/** A value that turns out to be a URL with a password is not shown, whatever its option says. */
const shown = (raw: string): string =>
  /:\/\/[^/]*@/.test(raw) ? '(hidden)' : JSON.stringify(raw.length > 80 ? `${raw.slice(0, 80)}…` : raw);

/**
 * `exitOnConfigError(() => readConfig(…))`: prints a ConfigError to standard error and ends the process with 78
 * (EX_CONFIG of sysexits), which tells a supervisor that restarting does not help.
 */
export const exitOnConfigError = <T>(read: () => T): T => {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.code} ${error.message}\n`);
    process.exit(78);
  }
};

export const environments = ['development', 'test', 'production'] as const;
export type Environment = (typeof environments)[number];

/** What every app reads. */
export const commonOptions = {
  CHAT_ENV: oneOf(environments, { default: 'production', doc: 'development, test or production' }),
  LOG_LEVEL: oneOf(logLevels, { default: 'info', doc: 'least severe level that is logged' }),
  INSTANCE_ID: str({
    default: `${hostname()
      .replaceAll(/[^A-Za-z0-9_-]/g, '-')
      .slice(0, 48)}-${process.pid}`,
    pattern: /^[A-Za-z0-9_-]{1,64}$/,
    doc: 'name of this process, unique among its kind; one token of a NATS subject',
  }),
  NATS_URL: list({ doc: 'NATS servers, comma separated, without credentials' }),
  NATS_USER: optional(str({ doc: 'NATS user of this role' })),
  NATS_PASSWORD: optional(secret({ doc: 'its password' })),
  PARTITIONS: int({
    min: 1,
    max: PARTITION_COUNT_MAX,
    default: 4,
    doc: 'number of partitions, the same everywhere',
  }),
  HEALTH_HOST: str({ default: '127.0.0.1', doc: 'address of the health server' }),
  HEALTH_PORT: port({ default: 0, doc: 'port of the health server' }),
  TRACE_SAMPLE_RATIO: ratio({
    default: 0,
    doc: 'share of the commands that are traced; 0 turns tracing off',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: url({
    default: 'http://localhost:4318',
    protocols: ['http', 'https'],
    doc: 'OTLP/HTTP collector that gets the traces',
  }),
  METRICS_HOST: str({ default: '127.0.0.1', doc: 'address of the metrics server' }),
  METRICS_PORT: port({ default: 0, doc: 'port of the metrics server; 0 takes a free one and logs it' }),
} as const satisfies Shape;
