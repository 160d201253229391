/** What readers were answered (pages while the system ran, unread counts when it was quiet) against the log. */

import type { ChannelView } from '@chat/contracts/http';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import type { Report } from './checker.ts';
import type { History, PageRead } from './history.ts';
import { type TeamEvent, readable, readMark } from './visibility.ts';

export const checkReads = (history: History, events: readonly TeamEvent[], report: Report): void => {
  const messages = new Map<string, TeamEvent['event']>();
  for (const { event } of events) if (event.type === 'message.sent') messages.set(event.commandId, event);
  for (const page of history.reads ?? []) checkPage(page, messages, report);
  for (const { userId, channels } of history.lists ?? []) {
    for (const view of channels) checkUnread(userId, view, events, report);
  }
};

/** Ascending without a hole, each as it stands in the log, and with all that the reader knew to be there. */
const checkPage = (
  page: PageRead,
  messages: ReadonlyMap<string, TeamEvent['event']>,
  report: Report,
): void => {
  const who = `${page.userId} reads ${page.channelId}`;
  let before: number | undefined;
  for (const { id, channelSeq, seq } of page.messages) {
    const event = messages.get(id);
    if (event?.seq !== seq || event.channelSeq !== channelSeq || event.channelId !== page.channelId) {
      report('READ_WRONG', `${who}: ${id} (seq ${seq}) is not so in the log`);
    }
    if (before !== undefined && channelSeq !== before + 1) {
      report('READ_WRONG', `${who}: ${channelSeq} after ${before}`);
    }
    before = channelSeq;
  }
  const newest = page.messages.at(-1)?.seq ?? 0;
  if (newest < page.minSeq) report('READ_STALE', `${who}: up to ${newest}, although it knew ${page.minSeq}`);
};

/** Others' readable messages after the read mark. */
const checkUnread = (
  userId: UserId,
  view: ChannelView,
  events: readonly TeamEvent[],
  report: Report,
): void => {
  if (view.role === undefined) return; // a public channel not joined: nothing is counted
  const upTo = readMark(events, userId, view.id as ChannelId);
  const unread = readable(events, userId, view.id).filter(
    ({ event }) => (event.channelSeq ?? 0) > upTo && event.actor !== userId,
  );
  if (view.readUpTo !== upTo || view.unreadCount !== unread.length) {
    report(
      'UNREAD_WRONG',
      `${userId} in ${view.id}: ${view.unreadCount} after ${view.readUpTo}; by the log ${unread.length} after ${upTo}`,
    );
  }
};
