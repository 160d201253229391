/**
 * A search, from both views. The core says which channels the asker may see, as of its own position; then search is asked for
 * messages of these channels up to that position (I3): a message sent after a removal that the core has not applied yet is beyond it, however
 * far search is ahead. Search being behind shows in `asOf`, the smaller of both.
 */

import type { SearchResponse } from '@chat/contracts/http';
import type { UserId } from '@chat/contracts/ids';
import type { ReadModel, Refusal as ReadRefusal } from '@chat/read-model/port';
import { highlightsOf } from '@chat/read-model/search/highlights';
import type { SearchModel } from '@chat/read-model/search/port';
import type { Search } from './search-request.ts';

export type SearchMessagesDeps = {
  readonly readModel: Pick<ReadModel, 'visibleChannels'>;
  readonly search: Pick<SearchModel, 'find'>;
};

export type SearchFound =
  | (SearchResponse & { readonly kind: 'found' })
  | ReadRefusal
  /** Search has nothing of the partition yet, or not of the core's epoch. */
  | { readonly kind: 'search_behind' };

export const searchMessages = async (
  { readModel, search }: SearchMessagesDeps,
  userId: UserId,
  { request, channelId, next }: Search,
): Promise<SearchFound> => {
  const visible = await readModel.visibleChannels(request.teamId, userId);
  if (visible.kind !== 'found') return visible;
  const channels =
    channelId === undefined
      ? visible.channels
      : visible.channels.filter((channel) => channel.channelId === channelId);
  if (channelId !== undefined && channels.length === 0) return { kind: 'channel_not_found' };
  const page = await search.find({ ...request, channels, asOf: visible.asOf });
  if (page?.epoch !== visible.epoch) return { kind: 'search_behind' };
  return {
    kind: 'found',
    epoch: page.epoch,
    asOf: Math.min(visible.asOf, page.asOf),
    hits: page.messages.map((message) => ({
      message,
      highlights: highlightsOf(message.text, request.needles),
    })),
    ...next(page.nextBelow),
  };
};
