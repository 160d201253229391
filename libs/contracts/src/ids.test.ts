import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  makeTeamId,
  PARTITION_COUNT_MAX,
  parseCommandId,
  parseTeamId,
  parseUserId,
  partitionOf,
} from './ids.ts';

describe('ids', () => {
  it('a team id names its partition, for every partition and any entropy', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: PARTITION_COUNT_MAX - 1 }),
        fc.uint8Array({ minLength: 9, maxLength: 32 }),
        (partition, entropy) => {
          const id = makeTeamId(partition, entropy);
          expect(parseTeamId(id)).toBe(id);
          expect(partitionOf(id)).toBe(partition);
        },
      ),
    );
  });

  it('different entropy gives different team ids', () => {
    const ids = new Set<string>();
    for (let i = 0; i < 256; i += 1)
      ids.add(
        makeTeamId(
          1,
          Uint8Array.from({ length: 9 }, (_, k) => (k === i % 9 ? i : 0)),
        ),
      );
    expect(ids.size).toBe(256);
  });

  it('a partition out of range or too little entropy is a fault', () => {
    expect(() => makeTeamId(-1, new Uint8Array(9))).toThrow(RangeError);
    expect(() => makeTeamId(PARTITION_COUNT_MAX, new Uint8Array(9))).toThrow(RangeError);
    expect(() => makeTeamId(0, new Uint8Array(8))).toThrow(RangeError);
  });

  it('UUIDs in capitals are answered in lower case', () => {
    expect(parseCommandId('018F0000-0000-7000-8000-00000000ABCD')).toBe(
      '018f0000-0000-7000-8000-00000000abcd',
    );
  });

  it.each([
    '',
    'x',
    '018f0000-0000-7000-8000-00000000abcg',
    '018f0000000070008000000000abcd',
    7,
    null,
    undefined,
  ])('refuses %j as a command id', (value) => expect(parseCommandId(value)).toBeUndefined());

  it.each(['a.b', 'a*', '>', 'a b', '', 'x'.repeat(65), 'ä'])(
    'refuses %j as a user id (it would not be a subject token)',
    (value) => expect(parseUserId(value)).toBeUndefined(),
  );
});
