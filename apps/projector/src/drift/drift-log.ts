/** The write model's log as the drift checker reads it: by pages, decoded as the projector decodes it. */

import { channelScope } from '@chat/contracts/subjects';
import type { DriftLog } from '@chat/read-model/drift/port';
import { decodeBatch, payloadDigest } from '../partition/decode-event.ts';
import type { EventLog } from '../partition/event-log.ts';

/** A few milliseconds of this process each, so that what else it does goes on. */
const PAGE_COUNT = 1_000;
/** Ids that one statement looks through for those of a team or channel: far below its time limit. */
const WINDOW_COUNT = 200_000;

export const createDriftLog = (eventLog: EventLog): DriftLog => ({
  read: async ({ partition, teamId }, afterSeq, upTo, channel) => {
    const only =
      channel !== undefined
        ? { teamId: channel.teamId, scope: channelScope(channel.channelId) }
        : teamId !== undefined
          ? { teamId }
          : undefined;
    const from = afterSeq + 1;
    const to = Math.min(upTo, afterSeq + (only ? WINDOW_COUNT : PAGE_COUNT));
    const raws = only
      ? await eventLog.readOf(partition, from, to, PAGE_COUNT, only)
      : await eventLog.read(partition, from, to, PAGE_COUNT);
    if (!only && raws.length < to - afterSeq)
      throw new Error(`event_log lacks an event of partition ${partition} between ${from} and ${to}`);
    const { events, fault } = decodeBatch(partition, raws);
    if (fault) throw fault;
    const wanted = channel ? events.filter(({ event }) => event.type === 'message.sent') : events;
    const reachedSeq = raws.length < PAGE_COUNT ? to : (raws.at(-1)?.seq ?? to);
    return { events: wanted, reachedSeq };
  },
  digest: async (partition, seq) => {
    const row = (await eventLog.read(partition, seq, seq, 1))[0];
    return row && payloadDigest(row.data);
  },
  epoch: (partition) => eventLog.epoch(partition),
});
