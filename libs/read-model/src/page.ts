/** What a page request means in ranges of channelSeq; the same for every adapter. channelSeq is gapless. */

import type { MessageView } from '@chat/contracts/http';
import type { MessagePage, PageRequest } from './port.ts';

/** Adapters ask for one entry more than wanted, which tells whether there are more. */
export const cutList = <T>(
  entries: readonly T[],
  limitCount: number,
): { readonly entries: readonly T[]; readonly hasMore: boolean } => ({
  entries: entries.slice(0, limitCount),
  hasMore: entries.length > limitCount,
});

export type PageBounds = {
  /** Take `belowCount` messages with channelSeq < below, from the newest down. */
  readonly below: number;
  readonly belowCount: number;
  /** And `aboveCount` messages with channelSeq > above, from the oldest up. */
  readonly above: number;
  readonly aboveCount: number;
};

export const boundsOf = ({ before, after, around, limitCount }: PageRequest): PageBounds => {
  if (after !== undefined) return { below: 0, belowCount: 0, above: after, aboveCount: limitCount };
  if (around !== undefined) {
    const belowCount = Math.ceil(limitCount / 2);
    return { below: around + 1, belowCount, above: around, aboveCount: limitCount - belowCount };
  }
  const below = before ?? Number.MAX_SAFE_INTEGER;
  return { below, belowCount: limitCount, above: Number.MAX_SAFE_INTEGER, aboveCount: 0 };
};

/** `messages` ascending and visible; visible ones are floor < channelSeq ≤ last. */
export const pageOf = (
  { before, after, around }: PageRequest,
  messages: readonly MessageView[],
  floor: number,
  last: number,
): Pick<MessagePage, 'messages' | 'hasMoreBefore' | 'hasMoreAfter'> => {
  const first = messages[0];
  const newest = messages.at(-1);
  if (first && newest) {
    return { messages, hasMoreBefore: first.channelSeq > floor + 1, hasMoreAfter: newest.channelSeq < last };
  }
  // An empty page: the asked range lies wholly below or above what is visible.
  const hasVisible = last > floor;
  const isAbove = after !== undefined ? after >= last : around === undefined && before === undefined;
  return { messages, hasMoreBefore: hasVisible && isAbove, hasMoreAfter: hasVisible && !isAbove };
};
