import { describe, expect, it } from 'vitest';
import { parseOptions } from './options.ts';

describe('the options of npm start', () => {
  it('without any, start embedded servers on ports of their own choice', () => {
    expect(parseOptions([], {})).toEqual({
      kind: 'start',
      options: {
        isReset: false,
        portsFrom: undefined,
        databaseUrl: undefined,
        natsUrl: undefined,
        readStore: 'postgres',
        mongodbUrl: undefined,
      },
    });
  });

  it('take given servers from the environment, and nothing from an empty variable', () => {
    const parsed = parseOptions(['--reset', '--ports-from', '9000'], {
      DATABASE_URL: 'postgres://x',
      NATS_URL: '',
    });
    expect(parsed).toEqual({
      kind: 'start',
      options: {
        isReset: true,
        portsFrom: 9000,
        databaseUrl: 'postgres://x',
        natsUrl: undefined,
        readStore: 'postgres',
        mongodbUrl: undefined,
      },
    });
  });

  it('take the store of the read model, and refuse an unknown one with a sentence', () => {
    const parsed = parseOptions(['--read-store', 'mongodb'], { MONGODB_URL: 'mongodb://x' });
    expect(parsed).toMatchObject({ options: { readStore: 'mongodb', mongodbUrl: 'mongodb://x' } });
    expect(parseOptions(['--read-store', 'redis'], {})).toEqual({
      kind: 'refused',
      reason: '--read-store must be postgres or mongodb, not "redis".',
    });
  });

  it.each([['80'], ['65530'], ['x'], ['8080.5']])('refuse the first port %s with a sentence', (port) => {
    const parsed = parseOptions(['--ports-from', port], {});
    expect(parsed).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('--ports-from') as string,
    });
  });

  it('refuse what they do not know, and say what there is', () => {
    const parsed = parseOptions(['--prots-from', '1'], {});
    expect(parsed).toMatchObject({ kind: 'refused', reason: expect.stringContaining('--reset') as string });
  });
});
