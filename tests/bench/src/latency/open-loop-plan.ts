/** What an open-loop client is told and what it answers; plain data over the process channel. */

import type { LoadChannel } from '../load-plan.ts';

export type OpenLoopSocket = { readonly path: string; readonly token: string };

export type OpenLoopPlan = {
  readonly host: string;
  readonly port: number;
  readonly sockets: readonly OpenLoopSocket[];
  /** `members`: places in `sockets`. Message n goes to channel n modulo their number, its members send in turn. */
  readonly channels: readonly { readonly channelId: string; readonly members: readonly number[] }[];
  /** Say hello and nothing more. */
  readonly idleSockets: readonly OpenLoopSocket[];
  readonly userIdLength: number;
  readonly textBytes: number;
  readonly perSecond: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly connectingMaxCount: number;
};

export type Quantiles = { readonly p50Ms: number; readonly p99Ms: number; readonly p999Ms: number };

export type OpenLoopResult = {
  /** Of the measured time; each counted from the scheduled send time, and each of them is counted. */
  readonly messageCount: number;
  readonly seconds: number;
  readonly toPersisted: Quantiles;
  readonly toOwnEvent: Quantiles;
  readonly toLastMember: Quantiles;
  /** How late the client itself wrote; part of all latencies. */
  readonly writeLag: Quantiles;
  /** Over the whole run. */
  readonly sentCount: number;
  readonly deliveredCount: number;
  readonly expectedDeliveryCount: number;
  readonly retriedCount: number;
  readonly faults: readonly string[];
};

export type ToOpenLoop = { readonly kind: 'plan'; readonly plan: OpenLoopPlan } | { readonly kind: 'go' };
export type FromOpenLoop =
  | { readonly kind: 'connected' }
  | { readonly kind: 'measuring' }
  | { readonly kind: 'measured' }
  | { readonly kind: 'result'; readonly result: OpenLoopResult }
  | { readonly kind: 'failed'; readonly reason: string };

/** Every member a socket of its own. */
export const socketsOf = (
  loadChannels: readonly LoadChannel[],
): Pick<OpenLoopPlan, 'sockets' | 'channels'> => {
  const sockets: OpenLoopSocket[] = [];
  const channels = loadChannels.map(({ channelId, members }) => ({
    channelId,
    members: members.map(({ path, token }) => sockets.push({ path, token }) - 1),
  }));
  return { sockets, channels };
};
