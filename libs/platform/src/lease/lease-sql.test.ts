import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { leaseTickSql } from './lease-sql.ts';

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

it('the function that released migrations made is made the same: its text never changes', () => {
  const names = { table: 'partition', instances: 'writer_instance', tick: 'lease_tick' };
  expect(digestOf(leaseTickSql(names))).toBe(
    '0e188df0a1e6b94703dad998f0f250a3c342a4c9c8543e042269e995749a1351',
  );
});
