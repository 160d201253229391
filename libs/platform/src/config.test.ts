import { describe, expect, it } from 'vitest';
import {
  bool,
  bytes,
  commonOptions,
  durationMs,
  int,
  list,
  oneOf,
  optional,
  port,
  ratio,
  readConfig,
  secret,
  str,
  url,
} from './config.ts';
import { ConfigError } from './faults.ts';

const problemsOf = (read: () => unknown): readonly string[] => {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).code).toBe('CONFIG_INVALID');
    return (error as ConfigError).problems;
  }
  throw new Error('it was accepted');
};

describe('a share', () => {
  it('is a number from 0 to 1 and nothing else', () => {
    for (const [raw, value] of Object.entries({ '0': 0, '0.01': 0.01, '1': 1, '1.0': 1 }))
      expect(readConfig({ A: ratio() }, { A: raw })).toEqual({ A: value });
    for (const raw of ['1.1', '-0.1', '50%', '1e-3', '.5', 'all'])
      expect(
        problemsOf(() => readConfig({ A: ratio() }, { A: raw })),
        raw,
      ).toEqual([`A="${raw}" must be a number from 0 to 1`]);
  });
});

describe('readConfig', () => {
  it('answers typed values and defaults', () => {
    const config = readConfig(
      {
        WS_PORT: port({ default: 7001 }),
        NATS_URL: list(),
        DEBUG: bool({ default: false }),
        MODE: oneOf(['fast', 'safe'], { default: 'safe' }),
        WAIT: durationMs(),
        SIZE: bytes(),
        NAME: optional(str()),
        DATABASE_URL: url({ protocols: ['postgres', 'postgresql'], isSecret: true }),
      },
      {
        NATS_URL: 'a:1, b:2,',
        DEBUG: 'true',
        WAIT: '30s',
        SIZE: '64KiB',
        DATABASE_URL: 'postgres://u:p@h/db',
      },
    );
    const typed: {
      readonly WS_PORT: number;
      readonly NATS_URL: readonly string[];
      readonly DEBUG: boolean;
      readonly MODE: 'fast' | 'safe';
      readonly NAME: string | undefined;
    } = config;
    expect(typed).toEqual({
      WS_PORT: 7001,
      NATS_URL: ['a:1', 'b:2'],
      DEBUG: true,
      MODE: 'safe',
      WAIT: 30_000,
      SIZE: 65_536,
      NAME: undefined,
      DATABASE_URL: 'postgres://u:p@h/db',
    });
  });

  it('reports every bad and missing name at once, in one sentence each', () => {
    const problems = problemsOf(() =>
      readConfig(
        {
          A: int({ min: 1, max: 9 }),
          B: port(),
          C: url({ protocols: ['http', 'https'] }),
          D: str({ doc: 'what D is' }),
          E: bool(),
        },
        { A: '12', B: '70000', C: 'ftp://x', D: '  ', E: 'yes' },
      ),
    );
    expect(problems).toEqual([
      'A="12" must be between 1 and 9',
      'B="70000" must be between 0 and 65535',
      'C="ftp://x" must be a URL that begins with http:// or https://',
      'D is missing (what D is)',
      'E="yes" must be true or false',
    ]);
  });

  it('never shows a secret, nor a URL with a password in a plain option', () => {
    const problems = problemsOf(() =>
      readConfig(
        { KEY: secret({ minLength: 20 }), DB: url({ protocols: ['postgres'], isSecret: true }), N: int() },
        { KEY: 'hush-hush', DB: 'mysql://u:hush@h', N: 'postgres://u:hush@h/db' },
      ),
    );
    expect(problems).toHaveLength(3);
    expect(problems.join()).not.toContain('hush');
  });

  it.each(['1.5', '1e3', '0x10', '', '9007199254740993', '--1', ' '])(
    'does not take %j for a whole number',
    (raw) => {
      expect(problemsOf(() => readConfig({ N: int() }, { N: raw }))).toHaveLength(1);
    },
  );

  it.each([
    ['250', 250],
    ['250ms', 250],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
  ])('reads the duration %s', (raw, ms) => {
    expect(readConfig({ D: durationMs() }, { D: raw })).toEqual({ D: ms });
  });

  it.each(['1y', '-1s', 's', '1.5s', 'constructor'])('refuses the duration %s', (raw) => {
    expect(problemsOf(() => readConfig({ D: durationMs() }, { D: raw }))).toHaveLength(1);
  });

  it('has what every app reads, with an instance id that fits a NATS subject', () => {
    const config = readConfig(commonOptions, { NATS_URL: 'nats://127.0.0.1:4222' });
    expect(config).toMatchObject({
      CHAT_ENV: 'production',
      LOG_LEVEL: 'info',
      PARTITIONS: 4,
      NATS_USER: undefined,
    });
    expect(config.INSTANCE_ID).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(problemsOf(() => readConfig(commonOptions, { INSTANCE_ID: 'a.b', PARTITIONS: '0' }))).toHaveLength(
      3,
    );
  });
});
