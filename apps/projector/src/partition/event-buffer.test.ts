import { expect, it } from 'vitest';
import { EventBuffer } from './event-buffer.ts';

const event = (seq: number, bytes: number) => ({ seq, subject: 's', data: new Uint8Array(bytes) });

it('is full by count or by bytes, and half empty only by both', () => {
  const byCount = new EventBuffer({ maxCount: 4, maxBytes: 1_000 });
  for (let seq = 1; seq <= 4; seq += 1) byCount.push(event(seq, 1));
  expect(byCount.isFull()).toBe(true);
  byCount.take({ maxCount: 2, maxBytes: 1_000 });
  expect([byCount.isFull(), byCount.isHalfEmpty()]).toEqual([false, true]);
  const byBytes = new EventBuffer({ maxCount: 100, maxBytes: 10 });
  byBytes.push(event(1, 6));
  expect([byBytes.isFull(), byBytes.isHalfEmpty()]).toEqual([false, false]);
  byBytes.push(event(2, 6));
  expect(byBytes.isFull()).toBe(true);
});

it('gives batches in order within the bounds, and one event that is larger than a batch alone', () => {
  const buffer = new EventBuffer({ maxCount: 100, maxBytes: 1_000 });
  for (const [seq, bytes] of [1, 1, 50, 3, 3, 3].entries()) buffer.push(event(seq, bytes));
  const batches = [];
  while (buffer.count > 0) batches.push(buffer.take({ maxCount: 2, maxBytes: 8 }).map(({ seq }) => seq));
  expect(batches).toEqual([[0, 1], [2], [3, 4], [5]]);
  expect(buffer.isHalfEmpty()).toBe(true);
});
