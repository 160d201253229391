/** What a load client is told to do and what it answers; plain data over the process channel. */

export type LoadMember = { readonly path: string; readonly token: string; readonly userId: string };
export type LoadChannel = { readonly channelId: string; readonly members: readonly LoadMember[] };

export type LoadPlan = {
  readonly host: string;
  readonly port: number;
  readonly channels: readonly LoadChannel[];
  readonly textBytes: number;
  /** Messages in flight over all senders; a sender has at most one. */
  readonly inFlightCount: number;
  /**
   * Who the senders are (one message under way each). `together`: the members of the first channels, as when a
   * channel's members talk at the same time; the server can join what one turn brought. `apart`: spread over all
   * channels evenly, so that there is the least to join.
   */
  readonly senders: 'together' | 'apart';
  readonly warmupMs: number;
  readonly measureMs: number;
  /** Sockets that are in their handshake at once. */
  readonly connectingMaxCount: number;
};

export type Latency = { readonly p50Ms: number; readonly p99Ms: number };

export type LoadResult = {
  /** Within the measured time. */
  readonly seconds: number;
  readonly messageCount: number;
  readonly deliveryCount: number;
  readonly toPersisted: Latency;
  readonly toOwnEvent: Latency;
  readonly toLastMember: Latency;
  /** Over the whole run, warm-up and drain included. */
  readonly sentCount: number;
  readonly deliveredCount: number;
  readonly expectedDeliveryCount: number;
  readonly retriedCount: number;
  /** What went wrong, at most `FAULTS_KEPT_COUNT`; empty when every message reached every member exactly once, in order. */
  readonly faults: readonly string[];
};

export const FAULTS_KEPT_COUNT = 20;

export type ToLoadClient = { readonly kind: 'plan'; readonly plan: LoadPlan } | { readonly kind: 'go' };
export type FromLoadClient =
  | { readonly kind: 'connected' }
  | { readonly kind: 'measuring' }
  | { readonly kind: 'measured' }
  | { readonly kind: 'result'; readonly result: LoadResult }
  | { readonly kind: 'failed'; readonly reason: string };
