/**
 * How search goes through a team's messages, the same over every store: window by window from the newest down, each as large as
 * what the last one cost allows. A team's messages are numbered without gaps (`ordinal`, a function of the log), so windows hold
 * as many messages in a small team of a busy partition as in a large one.
 */

import type { MessageView } from '@chat/contracts/http';
import type { SearchPage, SearchRequest } from './port.ts';

export type SearchTuning = {
  /** Looked through as they are before any index is asked: a frequent word is found here. */
  readonly recentCount: number;
  /**
   * Messages of one bucket: tokens of a bucketed index stand for (gram, bucket), so that no posting list is longer. What
   * is in the store was written with it: another value needs a rebuild.
   */
  readonly bucketMessageCount: number;
  /** After this no further window is begun. */
  readonly maxMs: number;
  readonly windowsMaxCount: number;
};
export const searchTuning: SearchTuning = {
  recentCount: 512,
  bucketMessageCount: 16_384,
  maxMs: 500,
  windowsMaxCount: 200,
};

/** Buckets of one window. */
const BUCKETS_MAX_COUNT = 64;
/** A window that took less lets the next be twice as large; one that took more than four times this, half as large. */
const WINDOW_AIM_MS = 20;

export const bucketOf = (ordinal: number, { bucketMessageCount }: SearchTuning): number =>
  Math.floor(ordinal / bucketMessageCount);

/** Messages with above < ordinal ≤ upTo. */
export type SearchWindow = {
  readonly above: number;
  readonly upTo: number;
  /** `recent`: few enough to look at each. */
  readonly kind: 'recent' | 'indexed';
};
export type OrdinalMessage = MessageView & { readonly ordinal: number };

/** What a store answers. */
export type SearchStore = {
  /** The team's part of the store; to be read before any message. `lastOrdinal` 0: no message. */
  position(
    request: SearchRequest,
  ): Promise<{ readonly epoch: string; readonly asOf: number; readonly lastOrdinal: number } | undefined>;
  /** The newest `limitCount` matches of the window, newest first. */
  within(
    request: SearchRequest,
    window: SearchWindow,
    limitCount: number,
  ): Promise<readonly OrdinalMessage[]>;
};

export const find = async (
  store: SearchStore,
  request: SearchRequest,
  tuning: SearchTuning,
): Promise<SearchPage | undefined> => {
  const position = await store.position(request);
  if (!position) return undefined;
  const { epoch, asOf, lastOrdinal } = position;
  const floors = new Map(request.channels.map(({ channelId, visibleAfter }) => [channelId, visibleAfter]));
  const isVisible = ({ channelId, channelSeq, seq }: MessageView): boolean =>
    channelSeq > (floors.get(channelId) ?? Infinity) && seq <= request.asOf;

  const wantedCount = request.limitCount + 1;
  const found: OrdinalMessage[] = [];
  const startedMs = performance.now();
  let top = Math.min(lastOrdinal, (request.below ?? Infinity) - 1);
  let bucketCount = 1;
  for (let windows = 0; top > 0 && found.length < wantedCount && floors.size > 0; windows += 1) {
    const beganMs = performance.now();
    if (windows >= tuning.windowsMaxCount || (windows > 0 && beganMs - startedMs > tuning.maxMs)) {
      return { epoch, asOf, messages: found.map(viewOf), nextBelow: top + 1 };
    }
    const window = windows === 0 ? recentWindow(top, tuning) : indexedWindow(top, bucketCount, tuning);
    const rowsMaxCount = wantedCount - found.length;
    const rows = await store.within(request, window, rowsMaxCount);
    found.push(...rows.filter(isVisible));
    top = rows.length < rowsMaxCount ? window.above : (rows.at(-1)?.ordinal ?? window.above + 1) - 1;
    if (windows > 0) bucketCount = nextBucketCount(bucketCount, performance.now() - beganMs);
  }
  const messages = found.slice(0, request.limitCount);
  const last = messages.at(-1);
  const nextBelow = found.length > messages.length ? last?.ordinal : undefined;
  return {
    epoch,
    asOf,
    messages: messages.map(viewOf),
    ...(nextBelow === undefined ? {} : { nextBelow }),
  };
};

const recentWindow = (top: number, { recentCount }: SearchTuning): SearchWindow => ({
  kind: 'recent',
  above: Math.max(0, top - recentCount),
  upTo: top,
});

/** Ends where a bucket begins. */
const indexedWindow = (top: number, bucketCount: number, tuning: SearchTuning): SearchWindow => {
  const firstBucket = Math.max(0, bucketOf(top, tuning) - bucketCount + 1);
  return { kind: 'indexed', above: Math.max(0, firstBucket * tuning.bucketMessageCount - 1), upTo: top };
};

const nextBucketCount = (bucketCount: number, tookMs: number): number => {
  if (tookMs < WINDOW_AIM_MS) return Math.min(BUCKETS_MAX_COUNT, bucketCount * 2);
  return tookMs > 4 * WINDOW_AIM_MS ? Math.max(1, bucketCount >> 1) : bucketCount;
};

const viewOf = ({ ordinal: _, ...message }: OrdinalMessage): MessageView => message;
