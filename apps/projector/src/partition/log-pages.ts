/** Events of a partition from event_log, page after page; the next one is read while a page is applied, each part of it as a batch. */

import type { RawEvent } from './decode-event.ts';
import type { EventLog } from './event-log.ts';

const LOG_PAGE_COUNT = 2_000;
const noEvents: Promise<readonly RawEvent[]> = Promise.resolve([]);

/**
 * Every event of [fromSeq, endSeq), ascending and without a hole, up to `maxBytes` at once (or one that is larger). Throws where
 * the log has a hole: nothing is skipped.
 */
export async function* logPages(
  eventLog: Pick<EventLog, 'read'>,
  partition: number,
  fromSeq: number,
  endSeq: number,
  maxBytes: number,
): AsyncGenerator<readonly RawEvent[], void> {
  const pageFrom = (from: number): Promise<readonly RawEvent[]> => {
    const page = from < endSeq ? eventLog.read(partition, from, endSeq - 1, LOG_PAGE_COUNT) : noEvents;
    // Awaited in its turn; what is done with the page before it may fail first.
    page.catch(() => undefined);
    return page;
  };
  let next = pageFrom(fromSeq);
  for (let from = fromSeq; from < endSeq;) {
    const rows = await next;
    const hole = rows.findIndex((row, at) => row.seq !== from + at);
    const events = hole === -1 ? rows : rows.slice(0, hole);
    if (events.length === 0)
      throw new Error(
        `neither stream nor event_log has event ${from} of partition ${partition}; it is not skipped`,
      );
    from += events.length;
    next = pageFrom(from);
    yield* parts(events, maxBytes);
  }
}

function* parts(events: readonly RawEvent[], maxBytes: number): Generator<readonly RawEvent[], void> {
  let begin = 0;
  let bytes = 0;
  for (const [at, { data }] of events.entries()) {
    if (at > begin && bytes + data.length > maxBytes) {
      yield events.slice(begin, at);
      begin = at;
      bytes = 0;
    }
    bytes += data.length;
  }
  yield events.slice(begin);
}
