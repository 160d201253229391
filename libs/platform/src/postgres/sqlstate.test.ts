import { describe, expect, it } from 'vitest';
import { TimeoutFault } from '../faults.ts';
import { classify, uniqueViolationOf } from './sqlstate.ts';

const withCode = (code: string, message = 'x'): Error => Object.assign(new Error(message), { code });

describe('classify', () => {
  it.each([
    '08006',
    '40001',
    '40P01',
    '53300',
    '57P01',
    '57014',
    '55P03',
    '25006',
    'ECONNREFUSED',
    'ECONNRESET',
    'ENOTFOUND',
  ])('takes %s for the trouble of the database, to be retried', (code) =>
    expect(classify(withCode(code))).toBe('transient'),
  );
  it.each(['22001', '22P05', '23505', '23514'])('takes %s for the fault of the data', (code) =>
    expect(classify(withCode(code))).toBe('data'),
  );
  it.each(['42P01', '42601', '42501', '0A000', 'XX000', 'ERR_SOMETHING'])('takes %s for a bug', (code) =>
    expect(classify(withCode(code))).toBe('bug'),
  );
  it('knows our own fencing state', () => expect(classify(withCode('CH001'))).toBe('fenced'));
  it.each([
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'timeout exceeded when trying to connect',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
  ])('takes the codeless driver error %j for trouble of the database', (message) =>
    expect(classify(new Error(message))).toBe('transient'),
  );
  it('looks into an AggregateError, and takes our own timeouts for trouble', () => {
    expect(classify(new AggregateError([withCode('ECONNREFUSED')]))).toBe('transient');
    expect(classify(new TimeoutFault('commit', 1))).toBe('transient');
    expect(classify(new TypeError('x is not a function'))).toBe('bug');
    expect(classify(undefined)).toBe('bug');
  });
});

it('names the unique index that refused', () => {
  expect(uniqueViolationOf(Object.assign(withCode('23505'), { constraint: 'command_pkey' }))).toBe(
    'command_pkey',
  );
  expect(uniqueViolationOf(withCode('23514'))).toBeUndefined();
});
