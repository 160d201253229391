/** Gathers the facts for `compare`; makes the stream anew when it is gone. */

import { EVT_MAX_AGE_MS, evtStream } from '@chat/contracts/streams';
import type { Clock } from '@chat/platform/clock';
import type { Logger } from '@chat/platform/log';
import {
  type PartitionRow,
  type Query,
  oldestEventSince,
  readEventRows,
} from '../partition/partition-row.ts';
import type { WriterStreams } from '../streams/writer-streams.ts';
import { type Verdict, commonSeq, compare } from './compare.ts';

export type DivergenceDeps = {
  readonly query: Query;
  readonly streams: WriterStreams;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * A missing stream is made with the first number that will be relayed again, so that every event keeps its
 * number: the oldest row that the stream's `max_age` would still hold.
 */
export const remakeStream = async (
  { query, streams, clock, log }: DivergenceDeps,
  { p, epoch, nextId }: Pick<PartitionRow, 'p' | 'epoch' | 'nextId'>,
): Promise<void> => {
  const firstSeq = await oldestEventSince(query, p, nextId, clock.nowMs() - EVT_MAX_AGE_MS);
  await streams.ensureEvt(p, epoch, firstSeq);
  log.info({ partition: p, firstSeq, nextId }, 'event stream made');
};

export const checkDivergence = async (deps: DivergenceDeps, row: PartitionRow): Promise<Verdict> => {
  const name = evtStream(row.p);
  let stream = await deps.streams.state(name);
  if (!stream.exists) {
    await remakeStream(deps, row);
    stream = await deps.streams.state(name);
    if (!stream.exists) throw new Error(`stream ${name} vanished while it was made`);
  }
  const committedSeq = row.nextId - 1;
  const common = commonSeq(committedSeq, stream.lastSeq);
  const [rows, message] =
    common >= 1 && common >= stream.firstSeq
      ? await Promise.all([
          readEventRows(deps.query, row.p, common, common),
          deps.streams.message(name, common),
        ])
      : [[], undefined];
  return compare({
    committedSeq,
    epoch: row.epoch,
    stream,
    rowPayload: rows[0]?.payload,
    streamPayload: message && Buffer.from(message.data).toString(),
  });
};
