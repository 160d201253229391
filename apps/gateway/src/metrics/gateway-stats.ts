/** What the gateway counts while it works: plain numbers, published when they are scraped (gateway-metrics.ts). */

import type { CommandName } from '@chat/contracts/commands';
import type { ErrorCode } from '@chat/contracts/errors';
import type { ClientFrame } from '@chat/contracts/frames';
import type { HotHistogram } from './hot-histogram.ts';

/** Counts by a word of a fixed set. */
export class Counts<K extends string> {
  readonly #byKey = new Map<K, number>();

  add(key: K, by = 1): void {
    this.#byKey.set(key, (this.#byKey.get(key) ?? 0) + by);
  }

  get entries(): ReadonlyMap<K, number> {
    return this.#byKey;
  }
}

export type HelloResult = 'fresh' | 'replayed' | 'snapshot_required' | 'refused';

/** Why a socket closed. `error`: the connection broke or fell silent; everything else says who ended it. */
export type CloseReason =
  'client' | 'draining' | 'slow' | 'behind' | 'auth' | 'protocol' | 'overloaded' | 'error';

/**
 * persisted, rejected: final, in the log · refused: before it was stored; nothing happened · unknown: sent again, or its
 * socket closed, without an outcome in time (it may still come).
 */
export type CommandResult = 'persisted' | 'rejected' | 'refused' | 'unknown';

export type GatewayStats = {
  openedCount: number;
  readonly closed: Counts<CloseReason>;
  readonly hellos: Counts<HelloResult>;
  /** Hellos with a cursor. */
  reconnectCount: number;
  readonly frames: Counts<ClientFrame['t'] | 'invalid'>;
  readonly refusals: Counts<ErrorCode>;
  readonly commands: Readonly<Record<CommandResult, Counts<CommandName>>>;
  eventCount: number;
  /** Events times the sockets they were handed to. */
  deliveryCount: number;
  /** Frames a socket did not take, and sockets ended because they took nothing or were ahead of what could be sent. */
  deliveryErrorCount: number;
  readonly helloSeconds: HotHistogram;
  readonly commandSeconds: HotHistogram;
  readonly deliverySeconds: HotHistogram;
};

export const createGatewayStats = (
  histograms: Pick<GatewayStats, 'helloSeconds' | 'commandSeconds' | 'deliverySeconds'>,
): GatewayStats => ({
  openedCount: 0,
  closed: new Counts(),
  hellos: new Counts(),
  reconnectCount: 0,
  frames: new Counts(),
  refusals: new Counts(),
  commands: {
    persisted: new Counts(),
    rejected: new Counts(),
    refused: new Counts(),
    unknown: new Counts(),
  },
  eventCount: 0,
  deliveryCount: 0,
  deliveryErrorCount: 0,
  ...histograms,
});
