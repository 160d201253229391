import type { OrderedFeed } from '@chat/platform/nats/ordered-feed';

/** A feed that cannot follow its stream for longer than this is trouble; shorter breaks are everyday. */
const FEED_SILENT_MAX_MS = 3_000;

export const feedTrouble = (feed: OrderedFeed | undefined): string | undefined => {
  const silentMs = feed?.silentForMs() ?? 0;
  return silentMs > FEED_SILENT_MAX_MS ? `the feed is silent for ${Math.round(silentMs)} ms` : undefined;
};
