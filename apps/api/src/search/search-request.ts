/** What a search asks for, from the query string. Pure. */

import { type ChannelId, type TeamId, type UserId, parseChannelId, parseUserId } from '@chat/contracts/ids';
import { SEARCH_PAGE_DEFAULT_COUNT } from '@chat/contracts/limits';
import { type CursorList, decodeCursor, encodeCursor } from '@chat/platform/paging/cursor';
import type { SearchRequest } from '@chat/read-model/search/port';
import { parseSearchQuery } from '@chat/read-model/search/query';
import type { Refusal } from '../http/refusals.ts';

export type SearchQueryString = {
  readonly q: string;
  readonly channelId?: string | undefined;
  readonly from?: string | undefined;
  readonly before?: number | undefined;
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
};

export type Search = {
  /** All but what the core has to say: channels and asOf. */
  readonly request: Omit<SearchRequest, 'channels' | 'asOf'>;
  /** Undefined: in all channels of the asker. */
  readonly channelId?: ChannelId;
  /** For an answer: the cursor of the page after it. */
  next(nextBelow: number | undefined): { readonly nextCursor?: string };
};

/** What is no UUID names no channel; asked like any other, so that the answer tells a non-member of the team no more. */
const noChannel = '00000000-0000-0000-0000-000000000000' as ChannelId;

export const parseSearch = (teamId: TeamId, query: SearchQueryString): Search | Refusal => {
  const parsed = parseSearchQuery(query.q);
  if (parsed.kind === 'refused') return { code: parsed.code };
  const actor = query.from === undefined ? undefined : parseUserId(query.from);
  if (query.from !== undefined && actor === undefined)
    return { code: 'REQUEST_INVALID', message: 'querystring/from: is no user id' };
  const channelId =
    query.channelId === undefined ? undefined : (parseChannelId(query.channelId) ?? noChannel);
  const { needles, grams } = parsed;
  const filters = { channelId, actor, before: query.before, after: query.after };
  const list: CursorList = ['search', teamId, JSON.stringify([needles, filters])];
  const below = belowOf(list, query.cursor);
  if (below === 'invalid') return { code: 'CURSOR_INVALID' };
  return {
    request: {
      teamId,
      needles,
      grams,
      limitCount: query.limit ?? SEARCH_PAGE_DEFAULT_COUNT,
      ...optional(actor, query),
      ...(below === undefined ? {} : { below }),
    },
    ...(channelId === undefined ? {} : { channelId }),
    next: (nextBelow) =>
      nextBelow === undefined
        ? {}
        : { nextCursor: encodeCursor(list, { direction: 'before', position: String(nextBelow) }) },
  };
};

const optional = (
  actor: UserId | undefined,
  { before, after }: SearchQueryString,
): Pick<SearchRequest, 'actor' | 'beforeMs' | 'afterMs'> => ({
  ...(actor === undefined ? {} : { actor }),
  ...(before === undefined ? {} : { beforeMs: before }),
  ...(after === undefined ? {} : { afterMs: after }),
});

/** A cursor is bound to team, needles and filters: of another search it means nothing. */
const belowOf = (list: CursorList, cursor: string | undefined): number | undefined | 'invalid' => {
  if (cursor === undefined) return undefined;
  const found = decodeCursor(list, cursor);
  if (!found || found.direction !== 'before' || !/^[1-9]\d{0,15}$/.test(found.position)) return 'invalid';
  return Number.isSafeInteger(Number(found.position)) ? Number(found.position) : 'invalid';
};
