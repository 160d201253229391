/**
 * Cursors of the lists and what they ask of the read model. A cursor says only where a page begins; who may see what is
 * asked of the store with each page again (I3).
 */

import {
  type ChannelId,
  type TeamId,
  type UserId,
  parseChannelId,
  parseTeamId,
  parseUserId,
} from '@chat/contracts/ids';
import { LIST_PAGE_DEFAULT_COUNT, PAGE_DEFAULT_COUNT } from '@chat/contracts/limits';
import { type CursorList, decodeCursor, encodeCursor } from '@chat/platform/paging/cursor';
import type { ListRequest, MessagePage, PageRequest } from '@chat/read-model/port';
import type { Refusal } from '../http/refusals.ts';

const cursorInvalid: Refusal = { code: 'CURSOR_INVALID' };

export type ListQuery = { readonly limit?: number | undefined; readonly cursor?: string | undefined };

/** A list that is paged in one direction, by the ids of its entries. */
export type IdList<K extends string> = {
  request(query: ListQuery): ListRequest<K> | Refusal;
  /** For an answer: the cursor of the page after the one that ends with `last`. */
  next(hasMore: boolean, last: K | undefined): { readonly nextCursor?: string };
};

const idList = <K extends string>(list: CursorList, parse: (value: unknown) => K | undefined): IdList<K> => ({
  request: ({ limit: limitCount = LIST_PAGE_DEFAULT_COUNT, cursor }) => {
    if (cursor === undefined) return { limitCount };
    const { direction, position } = decodeCursor(list, cursor) ?? {};
    const after = parse(position);
    return direction === 'after' && after !== undefined ? { limitCount, after } : cursorInvalid;
  },
  next: (hasMore, last) =>
    hasMore && last !== undefined
      ? { nextCursor: encodeCursor(list, { direction: 'after', position: last }) }
      : {},
});

export const teamList = (userId: UserId): IdList<TeamId> => idList(['teams', userId], parseTeamId);
export const channelList = (teamId: TeamId): IdList<ChannelId> =>
  idList(['channels', teamId], parseChannelId);
export const memberList = (teamId: TeamId, channelId: ChannelId): IdList<UserId> =>
  idList(['members', teamId, channelId], parseUserId);

export type MessagesQuery = ListQuery & {
  readonly before?: number | undefined;
  readonly after?: number | undefined;
  readonly around?: number | undefined;
};

const historyOf = (teamId: TeamId, channelId: ChannelId): CursorList => ['messages', teamId, channelId];

const parseChannelSeq = (text: string): number | undefined =>
  /^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined;

export const messagePageRequest = (
  teamId: TeamId,
  channelId: ChannelId,
  { before, after, around, cursor, limit: limitCount = PAGE_DEFAULT_COUNT }: MessagesQuery,
): PageRequest | Refusal => {
  const given = Object.entries({ before, after, around, cursor }).filter(([, value]) => value !== undefined);
  if (given.length > 1)
    return { code: 'REQUEST_INVALID', message: 'querystring: at most one of before, after, around, cursor' };
  if (cursor === undefined) return { limitCount, ...Object.fromEntries(given) };
  const found = decodeCursor(historyOf(teamId, channelId), cursor);
  const channelSeq = found && parseChannelSeq(found.position);
  if (!found || channelSeq === undefined) return cursorInvalid;
  return { limitCount, [found.direction]: channelSeq };
};

/** From the page's ends, or, of an empty page, from where it was asked for: what it misses lies wholly on one side. */
export const messageCursors = (
  teamId: TeamId,
  channelId: ChannelId,
  { before, after, around }: PageRequest,
  { messages, hasMoreBefore, hasMoreAfter }: Pick<MessagePage, 'messages' | 'hasMoreBefore' | 'hasMoreAfter'>,
): { readonly previousCursor?: string; readonly nextCursor?: string } => {
  const list = historyOf(teamId, channelId);
  const encode = (direction: 'before' | 'after', channelSeq: number): string =>
    encodeCursor(list, { direction, position: String(Math.max(0, channelSeq)) });
  const first = messages[0]?.channelSeq ?? (after ?? around ?? 0) + 1;
  const last = messages.at(-1)?.channelSeq ?? around ?? (before ?? 1) - 1;
  return {
    ...(hasMoreBefore ? { previousCursor: encode('before', first) } : {}),
    ...(hasMoreAfter ? { nextCursor: encode('after', last) } : {}),
  };
};
