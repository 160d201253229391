/** A batch of events as rows of search. Pure: adapters load how many messages each team has, and write the rows. */

import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import { LogFault, type ReadEvent } from '../port.ts';
import { foldText } from './text.ts';

export type SearchRow = {
  readonly teamId: TeamId;
  /** The message's number in its team, from 1 without gaps. */
  readonly ordinal: number;
  readonly seq: number;
  readonly channelId: ChannelId;
  readonly channelSeq: number;
  readonly id: CommandId;
  readonly actor: UserId;
  readonly at: number;
  readonly text: string;
  readonly folded: string;
};

export type SearchRows = {
  readonly rows: readonly SearchRow[];
  /** Messages of each team that is in the batch, with those of the batch. */
  readonly messageCounts: ReadonlyMap<TeamId, number>;
};

export const teamsOfMessages = (events: readonly ReadEvent[]): TeamId[] => [
  ...new Set(events.filter(({ event }) => event.type === 'message.sent').map(({ teamId }) => teamId)),
];

/** `known`: messages of each team before the batch; a team that is not named has none. */
export const searchRows = (events: readonly ReadEvent[], known: ReadonlyMap<TeamId, number>): SearchRows => {
  const messageCounts = new Map<TeamId, number>();
  const rows: SearchRow[] = [];
  for (const { teamId, event } of events) {
    if (event.type !== 'message.sent') continue;
    const { seq, channelId, channelSeq, commandId: id, actor, at, data } = event;
    if (channelId === undefined || channelSeq === undefined) {
      throw new LogFault(`event ${seq} is a message without a place in a channel`);
    }
    const ordinal = (messageCounts.get(teamId) ?? known.get(teamId) ?? 0) + 1;
    messageCounts.set(teamId, ordinal);
    const folded = foldText(data.text);
    rows.push({ teamId, ordinal, seq, channelId, channelSeq, id, actor, at, text: data.text, folded });
  }
  return { rows, messageCounts };
};

export type Tokenised<R> = R & { readonly tokens: readonly number[] };

/** Rows with their tokens, in parts of at most so many tokens (a part of one row may have more): at least one part. */
export const inParts = <R>(
  rows: readonly R[],
  tokensOf: (row: R) => readonly number[],
  tokensMaxCount: number,
): readonly (readonly Tokenised<R>[])[] => {
  let part: Tokenised<R>[] = [];
  const parts = [part];
  let tokenCount = 0;
  for (const row of rows) {
    const tokens = tokensOf(row);
    if (part.length > 0 && tokenCount + tokens.length > tokensMaxCount) {
      parts.push((part = []));
      tokenCount = 0;
    }
    part.push({ ...row, tokens });
    tokenCount += tokens.length;
  }
  return parts;
};
