/**
 * Messages for the projector without anybody who sends them: the events of one partition as the writer would have appended
 * them, and the rows that must come of them. The writer must not run meanwhile: it would find a stream ahead of its log.
 */

import { createHash, randomUUID } from 'node:crypto';
import { encodeEvent } from '@chat/contracts/events';
import {
  type ChannelId,
  type TeamId,
  parseChannelId,
  parseCommandId,
  parseTeamId,
  parseUserId,
  partitionOf,
} from '@chat/contracts/ids';
import { evtStream } from '@chat/contracts/streams';
import { channelScope, evtSubject } from '@chat/contracts/subjects';
import type { MessageRow } from '@chat/read-model/fold';
import { type NatsAccess, withJetStream } from '@chat/testkit/checking/collect';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import type { LoadChannel } from '../load-plan.ts';

const TEXT = 'A message of the projection bench. '.repeat(10).slice(0, 200);
const HASH = 'projection-bench';
/** Published at once; the last of them asks for its sequence, which speaks for all. */
const BURST_COUNT = 250;

type LaneChannel = { readonly channelId: ChannelId; lastChannelSeq: number };

/** One partition with one team's channels. */
export type Lane = {
  readonly partition: number;
  readonly teamId: TeamId;
  readonly channels: readonly LaneChannel[];
  /** Of its stream. */
  lastSeq: number;
};

const defined = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('an id of the bench is none');
  return value;
};

/** Of channels that hold no message yet. */
export const lanesOf = (channels: readonly LoadChannel[]): readonly Lane[] => {
  const lanes = new Map<TeamId, { channels: LaneChannel[] } & Lane>();
  for (const { channelId, members } of channels) {
    const teamId = defined(parseTeamId(members[0]!.path.split('/').at(-1)!));
    const partition = partitionOf(teamId);
    const lane = lanes.get(teamId) ?? { partition, teamId, channels: [], lastSeq: 0 };
    lanes.set(teamId, lane);
    lane.channels.push({ channelId: defined(parseChannelId(channelId)), lastChannelSeq: 0 });
  }
  return [...lanes.values()];
};

/** The next messages of a lane, in turn over its channels. */
export const nextMessages = (lane: Lane, count: number): readonly MessageRow[] => {
  const actor = defined(parseUserId('projection-bench'));
  return Array.from({ length: count }, (): MessageRow => {
    const seq = (lane.lastSeq += 1);
    const channel = lane.channels[seq % lane.channels.length]!;
    const channelSeq = (channel.lastChannelSeq += 1);
    const id = defined(parseCommandId(randomUUID()));
    const { teamId } = lane;
    const { channelId } = channel;
    return {
      teamId,
      channelId,
      channelSeq,
      countedSeq: channelSeq,
      seq,
      id,
      actor,
      at: Date.now(),
      text: TEXT,
    };
  });
};

const encoded = ({ seq, at, channelId, channelSeq, id, actor, text }: MessageRow): string =>
  encodeEvent(seq, 'message.sent', 1, at, channelId, channelSeq, id, HASH, actor, JSON.stringify({ text }));

/** Of the event's payload, as the projector keeps it with its checkpoint. */
export const digestOf = (row: MessageRow): string =>
  createHash('sha256').update(encoded(row)).digest('base64url').slice(0, 22);

export type Appender = {
  /** Appends them to the lane's stream, each under its own sequence; throws when the stream numbers them otherwise. */
  append(lane: Lane, rows: readonly MessageRow[]): Promise<void>;
  lastSeqOf(lane: Lane): Promise<number>;
};

const writerAccess = ({ nats }: ChatStack): NatsAccess => ({
  url: nats.url,
  ...nats.credentials.writer,
  inboxPrefix: '_INBOX_writer',
});

export const withAppender = <T>(stack: ChatStack, fn: (appender: Appender) => Promise<T>): Promise<T> =>
  withJetStream(writerAccess(stack), ({ js, jsm }) => {
    const burst = async (lane: Lane, rows: readonly MessageRow[]): Promise<void> => {
      const acks = rows.map((row) =>
        js.publish(evtSubject(lane.teamId, channelScope(row.channelId)), encoded(row)),
      );
      const last = (await Promise.all(acks)).at(-1)!;
      if (last.seq !== rows.at(-1)!.seq) throw new Error(`the stream numbers an event ${last.seq}`);
    };
    return fn({
      append: async (lane, rows) => {
        for (let from = 0; from < rows.length; from += BURST_COUNT)
          await burst(lane, rows.slice(from, from + BURST_COUNT));
      },
      lastSeqOf: async ({ partition }) => (await jsm.streams.info(evtStream(partition))).state.last_seq,
    });
  });
