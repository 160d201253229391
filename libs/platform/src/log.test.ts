import { describe, expect, it } from 'vitest';
import { createLogger } from './log.ts';

const captured = (): {
  lines: () => Record<string, unknown>[];
  raw: () => string;
  write(line: string): void;
} => {
  let text = '';
  return {
    write: (line) => {
      text += line;
    },
    raw: () => text,
    lines: () =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
};

describe('the logger', () => {
  it('writes JSON lines with app, instance, level by name and a message', () => {
    const destination = captured();
    const log = createLogger({ app: 'writer', instance: 'w1', level: 'info', destination });
    log.info({ partition: 3 }, 'lease taken');
    log.debug('not written');
    expect(destination.lines()).toMatchObject([
      { app: 'writer', instance: 'w1', level: 'info', partition: 3, msg: 'lease taken' },
    ]);
    expect(destination.lines()).toHaveLength(1);
  });

  it('never writes what is under a name of secrets or texts, at any of three levels', () => {
    const destination = captured();
    const log = createLogger({ app: 'api', instance: 'a', level: 'info', destination });
    const fields = {
      token: 'HIDE',
      password: 'HIDE',
      authorization: 'HIDE',
      text: 'HIDE',
      body: 'HIDE',
      apiKey: 'HIDE',
    };
    log.info(fields, 'top');
    log.info({ command: fields }, 'one down');
    log.child({ request: { headers: fields } }).warn({ a: { b: fields } }, 'two down');
    expect(destination.lines()).toHaveLength(3);
    expect(destination.raw()).not.toContain('HIDE');
    expect(destination.raw()).toContain('[redacted]');
  });

  it('writes of an error its name, code, message and stack, and not the properties drivers put on it', () => {
    const destination = captured();
    const log = createLogger({ app: 'writer', instance: 'w', level: 'info', destination });
    const error = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (text)=(HIDE)',
      query: 'HIDE',
    });
    log.error({ err: new Error('outer', { cause: error }) }, 'failed');
    log.error({ err: error }, 'failed');
    expect(destination.raw()).not.toContain('HIDE');
    expect(destination.lines()[1]).toMatchObject({
      err: { name: 'Error', code: '23505', message: 'duplicate key' },
    });
    expect(destination.lines()[0]).toMatchObject({ err: { message: 'outer', cause: 'duplicate key' } });
  });
});
