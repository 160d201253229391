/** The plain search that adapters are compared with: it looks at every message of a history. For tests only. */

import type { MessageView } from '@chat/contracts/http';
import type { ReadEvent } from '../port.ts';
import type { SearchRequest } from '../search/port.ts';
import { foldText } from '../search/text.ts';

/** All matches, newest first. */
export const referenceSearch = (
  events: readonly ReadEvent[],
  request: Omit<SearchRequest, 'below' | 'limitCount'>,
): MessageView[] => {
  const { teamId, channels, asOf, needles, actor, beforeMs = Infinity, afterMs = 0 } = request;
  const found: MessageView[] = [];
  for (const { teamId: team, event } of events) {
    if (team !== teamId || event.type !== 'message.sent' || event.seq > asOf) continue;
    const { channelId, channelSeq } = event;
    if (channelId === undefined || channelSeq === undefined) continue;
    const isVisible = channels.some((one) => one.channelId === channelId && channelSeq > one.visibleAfter);
    const isAsked =
      (actor === undefined || event.actor === actor) && event.at < beforeMs && event.at >= afterMs;
    const folded = foldText(event.data.text);
    if (!isVisible || !isAsked || !needles.every((needle) => folded.includes(needle))) continue;
    const { seq, at, commandId: id, data } = event;
    found.unshift({ id, channelId, channelSeq, seq, actor: event.actor, at, text: data.text });
  }
  return found;
};
