import { expect, it } from 'vitest';
import type { RawEvent } from './decode-event.ts';
import type { EventLog } from './event-log.ts';
import { logPages } from './log-pages.ts';

const partition = 3;
const sizes = [10, 40, 40, 40, 500, 10, 90, 10, 10];
const rows = sizes.map((size, at): RawEvent => ({
  seq: at + 1,
  subject: `evt.${partition}.team.t`,
  data: new Uint8Array(size),
}));
const log: Pick<EventLog, 'read'> = {
  read: async (_, fromId, toId, limitCount) => rows.slice(fromId - 1, toId).slice(0, limitCount),
};

it('a page holds no more bytes than one batch may, but at least one event; none is left out', async () => {
  const pages: number[][] = [];
  for await (const page of logPages(log, partition, 1, rows.length + 1, 100))
    pages.push(page.map(({ seq }) => seq));
  expect(pages).toEqual([[1, 2, 3], [4], [5], [6, 7], [8, 9]]);
});
