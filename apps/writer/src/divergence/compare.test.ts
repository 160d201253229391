import { describe, expect, it } from 'vitest';
import { type Facts, compare } from './compare.ts';

const facts = (over: {
  readonly committedSeq: number;
  readonly firstSeq?: number;
  readonly lastSeq: number;
  readonly epoch?: string;
  readonly row?: string | undefined;
  readonly message?: string | undefined;
}): Facts => ({
  committedSeq: over.committedSeq,
  epoch: 'e1',
  stream: {
    exists: true,
    firstSeq: over.firstSeq ?? 1,
    lastSeq: over.lastSeq,
    messages: Math.max(0, over.lastSeq - (over.firstSeq ?? 1) + 1),
    bytes: 0,
    created: '',
    epoch: 'epoch' in over ? over.epoch : 'e1',
  },
  rowPayload: 'row' in over ? over.row : 'same',
  streamPayload: 'message' in over ? over.message : 'same',
});

describe('compare', () => {
  it.each([
    ['nothing on either side', { committedSeq: 0, lastSeq: 0 }, { kind: 'equal' }],
    ['the same end', { committedSeq: 9, lastSeq: 9 }, { kind: 'equal' }],
    ['the stream lost its tail', { committedSeq: 9, lastSeq: 4 }, { kind: 'behind', streamSeq: 4 }],
    [
      'the stream was made anew',
      { committedSeq: 9, firstSeq: 6, lastSeq: 5 },
      { kind: 'behind', streamSeq: 5 },
    ],
    ['all events expired', { committedSeq: 9, firstSeq: 10, lastSeq: 9 }, { kind: 'equal' }],
    ['the database is older', { committedSeq: 4, lastSeq: 9 }, { kind: 'ahead', streamSeq: 9 }],
    ['the database is empty', { committedSeq: 0, lastSeq: 9 }, { kind: 'ahead', streamSeq: 9 }],
  ])('%s', (_, over, verdict) => expect(compare(facts(over))).toEqual(verdict));

  it.each([
    ['another epoch', { committedSeq: 9, lastSeq: 9, epoch: 'e2' }, /epoch e2/],
    ['no epoch: not a stream of ours', { committedSeq: 0, lastSeq: 0, epoch: undefined }, /epoch \(none\)/],
    ['the same end, another event', { committedSeq: 9, lastSeq: 9, message: 'other' }, /event 9 differs/],
    ['behind, another event', { committedSeq: 9, lastSeq: 4, message: 'other' }, /event 4 differs/],
    ['ahead, another event', { committedSeq: 4, lastSeq: 9, message: 'other' }, /event 4 differs/],
    [
      'the common event was deleted',
      { committedSeq: 4, lastSeq: 9, message: undefined },
      /event 4 is missing/,
    ],
    ['the common event has no row', { committedSeq: 4, lastSeq: 9, row: undefined }, /event 4 differs/],
    ['ahead, the common part expired', { committedSeq: 4, firstSeq: 6, lastSeq: 9 }, /expired/],
    ['ahead, exactly the next one is the first', { committedSeq: 4, firstSeq: 5, lastSeq: 9 }, /expired/],
    ['an empty database, the beginning expired', { committedSeq: 0, firstSeq: 3, lastSeq: 9 }, /expired/],
  ])('halts in doubt: %s', (_, over, reason) =>
    expect(compare(facts(over))).toMatchObject({
      kind: 'diverged',
      reason: expect.stringMatching(reason) as unknown,
    }),
  );
});
