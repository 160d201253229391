import { describe, expect, it } from 'vitest';
import { ConfigError, FencedFault, TimeoutFault, codeOf, reasonOf } from './faults.ts';

describe('faults', () => {
  it('carry a code, the cause and the name of their class', () => {
    const cause = new Error('socket');
    const fault = new TimeoutFault('the commit', 500, { cause });
    expect(fault).toMatchObject({ code: 'TIMEOUT', name: 'TimeoutFault', timeoutMs: 500, cause });
    expect(fault.message).toBe('the commit did not finish within 500 ms');
    expect(new FencedFault('partition 3 has another owner')).toMatchObject({ code: 'FENCED' });
    expect(new FencedFault('x', { code: 'CH001' }).code).toBe('CH001');
  });

  it('list every problem of a configuration', () => {
    expect(new ConfigError(['A is missing', 'B is bad']).message).toContain('  - A is missing\n  - B is bad');
  });

  it('give a reason for a log line, code first, also for an empty AggregateError', () => {
    expect(reasonOf(new TimeoutFault('x', 1))).toBe('TIMEOUT: x did not finish within 1 ms');
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
    expect(reasonOf(refused)).toBe('connect ECONNREFUSED 127.0.0.1:1');
    expect(
      reasonOf(Object.assign(new AggregateError([refused, refused]), { code: 'ECONNREFUSED' })),
    ).toContain('connect ECONNREFUSED');
    expect(reasonOf('plain')).toBe('plain');
    expect(codeOf(undefined)).toBeUndefined();
    expect(codeOf({ code: 7 })).toBeUndefined();
  });
});
