import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { Tail } from './tail.ts';

const unbounded = { maxCount: 1e9, maxBytes: 1e12, maxAgeMs: 1e12 };
const data = (text: string): Buffer => Buffer.from(text);

const fill = (tail: Tail, from: number, subjects: readonly string[], atMs = 0): void => {
  subjects.forEach((subject, i) => tail.push(from + i, subject, data(`${from + i}`), atMs, Infinity));
};

const collected = (tail: Tail, subject: string, after: number, upTo: number, max = Infinity): number[] => {
  const seqs: number[] = [];
  tail.findScope(subject)?.collect(after, upTo, seqs, max);
  return seqs;
};

describe('the tail', () => {
  it('gives back by sequence and by scope what was pushed, beyond its first capacity', () => {
    const tail = new Tail(unbounded);
    const subjects = Array.from({ length: 5_000 }, (_, i) => `evt.0.t.c_${i % 7}`);
    tail.clear(1_000);
    fill(tail, 1_000, subjects);
    expect([tail.firstSeq, tail.lastSeq]).toEqual([1_000, 5_999]);
    expect(tail.dataOf(3_456).toString()).toBe('3456');
    expect(tail.scopeOf(1_008).subject).toBe('evt.0.t.c_1');
    const expected = subjects.flatMap((s, i) =>
      s === 'evt.0.t.c_3' && i > 100 && i <= 4_000 ? [1_000 + i] : [],
    );
    expect(collected(tail, 'evt.0.t.c_3', 1_100, 5_000)).toEqual(expected);
    expect(collected(tail, 'evt.0.t.c_3', 1_100, 5_000, 3)).toEqual(expected.slice(0, 3));
  });

  it('refuses a sequence that is not the next', () => {
    const tail = new Tail(unbounded);
    tail.push(1, 's', data('x'), 0, Infinity);
    expect(() => tail.push(3, 's', data('x'), 0, Infinity)).toThrow(RangeError);
    expect(() => tail.push(1, 's', data('x'), 0, Infinity)).toThrow(RangeError);
  });

  it('forgets the oldest by count, bytes and age, but nothing that is still to be flushed', () => {
    const byCount = new Tail({ ...unbounded, maxCount: 3 });
    fill(byCount, 1, ['a', 'b', 'a', 'b', 'a']);
    expect([byCount.firstSeq, byCount.lastSeq]).toEqual([3, 5]);
    expect(collected(byCount, 'a', 0, 99)).toEqual([3, 5]);

    const byBytes = new Tail({ ...unbounded, maxBytes: 1_000 });
    fill(
      byBytes,
      1,
      Array.from({ length: 50 }, () => 'a'),
    );
    expect(byBytes.bytes).toBeLessThanOrEqual(1_000);
    expect(byBytes.lastSeq).toBe(50);

    const byAge = new Tail({ ...unbounded, maxAgeMs: 10 });
    fill(byAge, 1, ['a', 'b'], 100);
    fill(byAge, 3, ['a'], 200);
    byAge.forgetOlderThan(205, Infinity);
    expect([byAge.firstSeq, byAge.lastSeq]).toEqual([3, 3]);
    expect(byAge.findScope('b')).toBeUndefined();

    const kept = new Tail({ ...unbounded, maxCount: 1 });
    kept.push(1, 'a', data('1'), 0, 1);
    kept.push(2, 'a', data('2'), 0, 1);
    expect([kept.firstSeq, kept.lastSeq]).toEqual([1, 2]);
  });

  it('keeps a scope that somebody is subscribed to when its events are gone', () => {
    const tail = new Tail({ ...unbounded, maxCount: 1 });
    const scope = tail.scope('a');
    scope.subscriberCount = 1;
    fill(tail, 1, ['a', 'b', 'b']);
    expect(tail.findScope('a')).toBe(scope);
    tail.clear(100);
    expect(tail.findScope('a')).toBe(scope);
    scope.subscriberCount = 0;
    tail.release(scope);
    expect(tail.findScope('a')).toBeUndefined();
  });

  it('agrees with a plain list under any pushes and bounds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 300 }),
        fc.integer({ min: 1, max: 50 }),
        fc.nat(300),
        fc.nat(300),
        (scopes, maxCount, a, b) => {
          const tail = new Tail({ ...unbounded, maxCount });
          fill(tail, 1, scopes.map(String));
          const kept = scopes.map((s, i) => ({ s: String(s), seq: i + 1 })).slice(-maxCount);
          expect(tail.lastSeq - tail.firstSeq + 1).toBe(kept.length);
          const [after, upTo] = [Math.min(a, b), Math.max(a, b)];
          for (const subject of ['0', '3', '5'])
            expect(collected(tail, subject, after, upTo)).toEqual(
              kept.filter((e) => e.s === subject && e.seq > after && e.seq <= upTo).map((e) => e.seq),
            );
        },
      ),
    );
  });
});
