/**
 * The messages of one channel that this client holds: one stretch, ascending by channelSeq, each once.
 *
 * `tip` is the highest channelSeq up to which nothing is missing. A message beyond tip + 1 leaves a hole
 * (something went wrong on the way); the hole is asked from the api. What the api does not hold for us is
 * hidden (written while we were no member) and counts as filled.
 */

import type { MessageView } from '@chat/contracts/http';

/** Messages kept of a channel that is not open, and of one that is; older ones are read again when wanted. */
export const CLOSED_KEEP_COUNT = 200;
export const OPEN_KEEP_COUNT = 5_000;

export type Hole = {
  /** First and last missing channelSeq. */
  readonly from: number;
  readonly to: number;
  /** seq of the message that revealed it: the api must have read at least so far. */
  readonly seq: number;
};

/** Numbers `from`…`to` have come; `seq` is that of the message `from`. */
type Stretch = { readonly from: number; readonly to: number; readonly seq: number };

export type Timeline = {
  messages: MessageView[];
  /** Older ones may exist that are not held. */
  hasMoreBefore: boolean;
  tip: number | undefined;
  /** Stretches of numbers that came beyond the tip, ascending, apart: there is a hole before each. */
  beyond: Stretch[];
};

export const createTimeline = (): Timeline => ({
  messages: [],
  hasMoreBefore: true,
  tip: undefined,
  beyond: [],
});

/** Index of the first message whose channelSeq is at least the given one. Most calls ask for the end. */
const lowerBound = (messages: readonly { readonly channelSeq: number }[], channelSeq: number): number => {
  let low = 0;
  let high = messages.length;
  if (high > 0 && (messages[high - 1]?.channelSeq ?? 0) < channelSeq) return high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((messages[middle]?.channelSeq ?? 0) < channelSeq) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** Puts one message in its place; an older or equal version of one held changes nothing. Answers whether it was new. */
export const putMessage = (timeline: Timeline, message: MessageView): boolean => {
  const at = lowerBound(timeline.messages, message.channelSeq);
  const held = timeline.messages[at];
  if (held?.channelSeq === message.channelSeq) {
    if (held.seq < message.seq) timeline.messages[at] = message;
    return false;
  }
  timeline.messages.splice(at, 0, message);
  return true;
};

/** Stretches that touch the tip become part of it. */
const absorb = (timeline: Timeline): void => {
  if (timeline.tip === undefined) return;
  let next = timeline.beyond[0];
  while (next && next.from <= timeline.tip + 1) {
    timeline.tip = Math.max(timeline.tip, next.to);
    timeline.beyond.shift();
    next = timeline.beyond[0];
  }
};

/** Notes that `channelSeq` has come. */
export const noteArrived = (timeline: Timeline, channelSeq: number, seq: number): void => {
  if (timeline.tip !== undefined && channelSeq <= timeline.tip) return;
  const stretches = [...timeline.beyond, { from: channelSeq, to: channelSeq, seq }].sort(
    (a, b) => a.from - b.from,
  );
  const joined: Stretch[] = [];
  for (const stretch of stretches) {
    const last = joined.at(-1);
    if (last && stretch.from <= last.to + 1) {
      joined[joined.length - 1] = { ...last, to: Math.max(last.to, stretch.to) };
    } else joined.push(stretch);
  }
  timeline.beyond = joined;
  absorb(timeline);
};

/** The channel is known to reach `channelSeq` and nothing before it is owed (a snapshot says so). */
export const raiseTip = (timeline: Timeline, channelSeq: number): void => {
  timeline.tip = Math.max(timeline.tip ?? 0, channelSeq);
  absorb(timeline);
};

/** The first hole, if any. */
export const holeOf = (timeline: Timeline): Hole | undefined => {
  const first = timeline.beyond[0];
  if (timeline.tip === undefined || !first) return undefined;
  return { from: timeline.tip + 1, to: first.from - 1, seq: first.seq };
};

/**
 * Merges a page read from the api: the newest one, the one before what is held, or one that fills a hole.
 * Held messages below the page that do not touch it go (one stretch is kept; they are read again when
 * scrolled to). Answers the messages that were not held before.
 */
export const mergePage = (
  timeline: Timeline,
  page: { readonly messages: readonly MessageView[]; readonly hasMoreBefore: boolean },
): readonly MessageView[] => {
  const first = page.messages[0];
  if (!first) {
    if (timeline.messages.length === 0) timeline.hasMoreBefore = page.hasMoreBefore;
    return [];
  }
  const below = lowerBound(timeline.messages, first.channelSeq);
  const neighbour = timeline.messages[below - 1];
  if (neighbour && page.hasMoreBefore && neighbour.channelSeq !== first.channelSeq - 1) {
    timeline.messages.splice(0, below);
  }
  const added = page.messages.filter((message) => putMessage(timeline, message));
  if (timeline.messages[0]?.channelSeq === first.channelSeq) timeline.hasMoreBefore = page.hasMoreBefore;
  return added;
};

/** The channel moved on to `channelSeq` without us: what is held does not touch what will come. */
export const dropIfBehind = (timeline: Timeline, channelSeq: number): void => {
  const after = lowerBound(timeline.messages, channelSeq + 1);
  if (after === 0 || timeline.messages[after - 1]?.channelSeq === channelSeq) return;
  timeline.messages.splice(0, after);
  timeline.hasMoreBefore = true;
};

/** Lets the oldest go over `keepCount`. */
export const trim = (timeline: Timeline, keepCount: number): void => {
  const over = timeline.messages.length - keepCount;
  if (over <= 0) return;
  timeline.messages.splice(0, over);
  timeline.hasMoreBefore = true;
};
