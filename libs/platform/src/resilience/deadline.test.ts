import { expect, it } from 'vitest';
import { TimeoutFault } from '../faults.ts';
import { withTimeout } from './deadline.ts';

it('passes on the value or the error of what is in time', async () => {
  await expect(withTimeout(Promise.resolve(7), 1_000, 'it')).resolves.toBe(7);
  await expect(withTimeout(Promise.reject(new Error('no')), 1_000, 'it')).rejects.toThrow('no');
});

it('rejects with what was waited for, and drops a late error', async () => {
  let fail: (error: Error) => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const waiting = withTimeout(late, 5, 'the reply');
  await expect(waiting).rejects.toBeInstanceOf(TimeoutFault);
  await expect(waiting).rejects.toThrow('the reply did not finish within 5 ms');
  fail(new Error('late')); // must not be an unhandled rejection: vitest would fail
});
