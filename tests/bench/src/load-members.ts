/** The members of a plan, each with its prepared frames; and who of them sends. */

import type { Socket } from 'node:net';
import type { LoadMember, LoadPlan } from './load-plan.ts';
import { clientFrame } from './member-socket.ts';

/** Messages of one channel that may be on their way to its slowest member; more is a fault. */
export const CHANNEL_WINDOW_COUNT = 8192;
/** Hexadecimal digits of the message number at the end of a command id. */
export const NUMBER_DIGITS = 8;
/** From the beginning of a command id to its number. */
export const NUMBER_AT = 36 - NUMBER_DIGITS;

export type Channel = {
  readonly memberCount: number;
  sentCount: number;
  lastChannelSeq: number;
  /** By `channelSeq` in the window: deliveries so far, and the message's number. */
  readonly seen: Uint16Array;
  readonly numbers: Uint32Array;
};

export type Member = {
  readonly channel: Channel;
  readonly planned: LoadMember;
  /** The masked `message.send` frame; its number is written in before each send. */
  readonly frame: Buffer;
  readonly numberAt: number;
  socket: Socket | undefined;
  lastChannelSeq: number;
  deliveredCount: number;
  /** Number of the message under way; 0: none. */
  underWay: number;
};

/** UUIDs of one run share their first 28 digits (time first, as in version 7); the last 8 are the message number. */
const runIdPrefix = (nowMs: number): string => {
  const time = nowMs.toString(16).padStart(12, '0');
  const random = Math.floor(Math.random() * 0xfff);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.toString(16).padStart(3, '0')}-8000-0000`;
};

const sendFrame = (
  idPrefix: string,
  channelId: string,
  text: string,
): { frame: Buffer; numberAt: number } => {
  const head = `{"t":"cmd","id":"${idPrefix}`;
  const data = `{"channelId":"${channelId}","text":"${text}"}`;
  const frame = clientFrame(`${head}${'0'.repeat(NUMBER_DIGITS)}","name":"message.send","data":${data}}`);
  return { frame, numberAt: frame.indexOf(head) + head.length };
};

/** Members channel by channel. */
export const makeMembers = (plan: LoadPlan): Member[][] => {
  const text = 'A message of the bench, as long as the scenario says. '.repeat(200).slice(0, plan.textBytes);
  const idPrefix = runIdPrefix(Date.now());
  return plan.channels.map(({ channelId, members }) => {
    const channel: Channel = {
      memberCount: members.length,
      sentCount: 0,
      lastChannelSeq: 0,
      seen: new Uint16Array(CHANNEL_WINDOW_COUNT),
      numbers: new Uint32Array(CHANNEL_WINDOW_COUNT),
    };
    return members.map((planned) => ({
      channel,
      planned,
      ...sendFrame(idPrefix, channelId, text),
      socket: undefined,
      lastChannelSeq: -1,
      deliveredCount: 0,
      underWay: 0,
    }));
  });
};

/** The first `count` members, either channel by channel (`together`) or one of each channel in turn (`apart`). */
export const chooseSenders = (
  byChannel: readonly (readonly Member[])[],
  how: LoadPlan['senders'],
  count: number,
): Member[] => {
  if (how === 'together') return byChannel.flat().slice(0, count);
  const longest = Math.max(...byChannel.map((members) => members.length));
  const inTurn = Array.from({ length: longest }, (_, place) =>
    byChannel.flatMap((members) => members[place] ?? []),
  );
  return inTurn.flat().slice(0, count);
};
