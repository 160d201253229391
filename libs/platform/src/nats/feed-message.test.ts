import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Delivery, readDelivery, tokensBeforeSeq } from './feed-message.ts';

const read = (reply: string): Delivery | undefined => {
  const into: Delivery = { streamSeq: -1, consumerSeq: -1, pendingCount: -1 };
  const skip = tokensBeforeSeq(reply);
  return skip !== undefined && readDelivery(reply, skip, into) ? into : undefined;
};
const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const seq = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

describe('the reply subject of a delivery', () => {
  it('is read in both of its forms', () => {
    fc.assert(
      fc.property(
        token,
        token,
        seq,
        seq,
        seq,
        seq,
        (stream, consumer, streamSeq, consumerSeq, ns, pendingCount) => {
          const tail = `${stream}.${consumer}.1.${streamSeq}.${consumerSeq}.${ns}.${pendingCount}`;
          const expected = { streamSeq, consumerSeq, pendingCount };
          expect(read(`$JS.ACK.${tail}`)).toEqual(expected);
          expect(read(`$JS.ACK._.aHash.${tail}.rand0m`)).toEqual(expected);
          expect(read(`$JS.ACK.hub.aHash.${tail}`)).toEqual(expected);
        },
      ),
    );
  });

  it.each([
    '',
    '$JS.FC.EVT_0.c.123',
    '$JS.ACK.EVT_0.c.1.2.3.4',
    '$JS.ACK.EVT_0.c.1.x.3.4.5',
    '_INBOX.a.b.c.d.e.f.g.h',
  ])('is not made of %j', (reply) => {
    const delivery = read(reply);
    expect(delivery).toBeUndefined();
  });
});
