import type { MessageView } from '@chat/contracts/http';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { boundsOf, pageOf } from './page.ts';
import type { PageRequest } from './port.ts';

const seqs = fc.integer({ min: 0, max: 12 });
const request = fc.oneof(
  fc.constant({}),
  seqs.map((before) => ({ before })),
  seqs.map((after) => ({ after })),
  seqs.map((around) => ({ around })),
);

it('a page is a run without a hole of what is visible, and says truly whether more stands on each side', () => {
  const property = fc.property(
    request,
    fc.integer({ min: 1, max: 5 }),
    seqs,
    seqs,
    (asked, limitCount, floor, extra) => {
      const last = floor + extra;
      const visible = Array.from({ length: extra }, (_, n) => floor + 1 + n);
      const page: PageRequest = { ...asked, limitCount };
      const { below, belowCount, above, aboveCount } = boundsOf(page);
      const lower = belowCount === 0 ? [] : visible.filter((seq) => seq < below).slice(-belowCount);
      const upper = visible.filter((seq) => seq > above).slice(0, aboveCount);
      const given = [...lower, ...upper];
      expect(given.length).toBeLessThanOrEqual(limitCount);
      const messages = given.map((channelSeq) => ({ channelSeq }) as MessageView);
      const { hasMoreBefore, hasMoreAfter } = pageOf(page, messages, floor, last);
      if (given.length > 0) {
        expect(given.at(-1)! - given[0]! + 1).toBe(given.length);
        expect(hasMoreBefore).toBe(visible.some((seq) => seq < given[0]!));
        expect(hasMoreAfter).toBe(visible.some((seq) => seq > given.at(-1)!));
      } else expect([hasMoreBefore, hasMoreAfter].includes(true)).toBe(visible.length > 0);
    },
  );
  fc.assert(property, { numRuns: 2_000 });
});
