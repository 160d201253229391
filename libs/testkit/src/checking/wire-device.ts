/**
 * A device that only listens: it keeps its cursor, goes to the next gateway when its socket ends, and remembers
 * every event element it was given over all its sockets. Nothing is dropped or merged here, so that a double, a gap or
 * a leak stays visible to the checker. States: connecting ⇄ live → stopped.
 */

import type { Cursor, WelcomeFrame } from '@chat/contracts/frames';
import type { TeamId, UserId } from '@chat/contracts/ids';
import type { Observer } from './history.ts';
import { type Closed, type Delivery, type WireSession, openWire } from './wire-session.ts';

export type WireDevice = {
  /** All that was delivered so far, over all sockets, in order. */
  readonly deliveries: readonly Delivery[];
  readonly welcomes: readonly WelcomeFrame[];
  readonly closes: readonly Closed[];
  cursor(): Cursor | undefined;
  /** Index in `gatewayUrls` of the gateway it is at, or was at last. */
  gateway(): number;
  /** The socket of this moment, when it has been welcomed. */
  session(): WireSession | undefined;
  stop(): Promise<void>;
  /** For the checker: what it saw from its first welcome (or given cursor) on, up to its cursor. */
  observer(name: string): Observer;
};

export type DeviceOptions = {
  readonly gatewayUrls: readonly string[];
  readonly teamId: TeamId;
  readonly userId: UserId;
  readonly token: () => string | Promise<string>;
  readonly cursor?: Cursor;
  readonly onDelivery?: (delivery: Delivery) => void;
};

const RETRY_AFTER_MS = 200;

export const startWireDevice = (options: DeviceOptions): WireDevice => {
  const deliveries: Delivery[] = [];
  const welcomes: WelcomeFrame[] = [];
  const closes: Closed[] = [];
  const stopping = new AbortController();
  let cursor = options.cursor;
  let current: WireSession | undefined;
  let welcomed = false;
  let gateway = 0;

  const once = async (gatewayUrl: string): Promise<void> => {
    const session = await openWire({
      gatewayUrl,
      teamId: options.teamId,
      token: await options.token(),
      ...(cursor ? { cursor } : {}),
      onEvent: (_event, delivery) => {
        deliveries.push(delivery);
        options.onDelivery?.(delivery);
      },
      onFrame: (frame) => {
        if (frame.t === 'welcome') {
          welcomed = true;
          welcomes.push(frame);
        }
        if (welcomed) cursor = session?.cursor() ?? cursor;
      },
    });
    current = session;
    const stop = () => session.terminate();
    stopping.signal.addEventListener('abort', stop, { once: true });
    if (stopping.signal.aborted) session.terminate();
    closes.push(await session.closed);
    stopping.signal.removeEventListener('abort', stop);
    current = undefined;
    welcomed = false;
  };

  const run = async (): Promise<void> => {
    for (let attempt = 0; !stopping.signal.aborted; attempt += 1) {
      gateway = attempt % options.gatewayUrls.length;
      const gatewayUrl = options.gatewayUrls[gateway] ?? '';
      await once(gatewayUrl).catch(() => undefined); // refused: the gateway is down, the next one is tried
      if (stopping.signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
    }
  };
  const running = run();

  return {
    deliveries,
    welcomes,
    closes,
    cursor: () => cursor,
    gateway: () => gateway,
    session: () => (welcomed ? current : undefined),
    stop: async () => {
      stopping.abort();
      await running;
    },
    observer: (name) => {
      const first = welcomes[0];
      if (!first) throw new Error(`${name} was never welcomed`);
      return {
        name,
        userId: options.userId,
        afterSeq: options.cursor?.seq ?? first.head,
        upToSeq: cursor?.seq ?? first.head,
        deliveries,
      };
    },
  };
};
