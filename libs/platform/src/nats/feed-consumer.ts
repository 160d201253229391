/**
 * One incarnation of a feed's consumer: an ordered push consumer of our own making, from a start sequence to the first
 * doubt. It never repairs itself; it says once that there is a doubt, and the feed opens the next incarnation.
 *
 * Why not `getPushConsumer(stream, …).consume()` of @nats-io/jetstream 3.4, which is the same protocol: after its first
 * reset it asks for heartbeats every 30 s (so the next loss takes a minute to be seen), it gives up after 30 failed
 * creations, it does not compare what heartbeats say was delivered, it cannot be paused, and splits every reply subject.
 *
 * Order: NATS delivers one subscription in order over one connection. Each incarnation has an inbox of its own, so nothing
 * of an earlier one can arrive. Consumer sequences are contiguous unless something was lost between server and us.
 */

import { AckPolicy, DeliverPolicy, type JetStreamManager, ReplayPolicy } from '@nats-io/jetstream';
import { Empty, type Msg, type NatsConnection, createInbox, nanos } from '@nats-io/nats-core';
import {
  ACK_PREFIX,
  type Delivery,
  type FeedMessage,
  LazyFeedMessage,
  readDelivery,
  tokensBeforeSeq,
} from './feed-message.ts';

export type Doubt =
  | 'heartbeats_missed'
  | 'consumer_deleted'
  /** A message was lost on the way from server to us (slow-consumer cut, reconnect). */
  | 'delivery_gap'
  | 'subscription_failed';

export type FeedConsumerOptions = {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly stream: string;
  readonly name: string;
  readonly startSeq: number;
  readonly heartbeatMs: number;
  readonly filterSubject?: string;
  readonly onMessage: (message: FeedMessage) => void;
  /** A message or a heartbeat came. */
  readonly onAlive: () => void;
  /** Called at most once, and nothing else after it. The caller then closes. */
  readonly onDoubt: (doubt: Doubt) => void;
};

export type FeedConsumer = {
  readonly name: string;
  /** Creates it on the server. Throws what the API throws (no answer, stream missing). */
  open(): Promise<void>;
  /** At once nothing more is delivered. Does not delete it on the server. */
  close(): void;
  /** Messages behind the last delivered one, as last told by the server; undefined until it is known. */
  pendingCount(): number | undefined;
};

/** The server removes the consumer when nobody listened for this long (a crashed process). */
const INACTIVE_THRESHOLD_MS = 30_000;
const HEADER_LAST_CONSUMER_SEQ = 'Nats-Last-Consumer';
const HEADER_STALLED = 'Nats-Consumer-Stalled';
/** Half heartbeats of silence: more than two whole ones. */
const SILENT_MAX_TICKS = 5;

export const createFeedConsumer = (options: FeedConsumerOptions): FeedConsumer => {
  const { nc, jsm, stream, name, startSeq, heartbeatMs, onMessage, onAlive, onDoubt } = options;
  const delivery: Delivery = { streamSeq: 0, consumerSeq: 0, pendingCount: 0 };
  let state: 'new' | 'open' | 'closed' = 'new';
  let consumerSeq = 0;
  let pendingCount: number | undefined;
  let tokensBefore: number | undefined;
  let silentTicks = 0;
  let monitor: NodeJS.Timeout | undefined;
  let unsubscribe: (() => void) | undefined;

  const doubt = (reason: Doubt): void => {
    if (state === 'closed') return;
    close();
    onDoubt(reason);
  };

  const onData = (reply: string, msg: Msg): void => {
    tokensBefore ??= tokensBeforeSeq(reply);
    if (tokensBefore === undefined || !readDelivery(reply, tokensBefore, delivery))
      return doubt('delivery_gap');
    if (delivery.consumerSeq !== consumerSeq + 1) return doubt('delivery_gap');
    consumerSeq = delivery.consumerSeq;
    pendingCount = delivery.pendingCount;
    if (silentTicks !== -1) alive();
    silentTicks = -1;
    onMessage(new LazyFeedMessage(delivery.streamSeq, msg));
  };

  const onControl = (reply: string, msg: Msg): void => {
    const code = msg.headers?.code ?? 0;
    // 409 is Consumer Deleted, Leadership Change and the like: in all of them this consumer is not to be trusted.
    if (code !== 100) return doubt('consumer_deleted');
    alive();
    if (reply !== '') {
      // A flow control request: answered only now that everything before it was handled.
      nc.publish(reply, Empty);
      return;
    }
    const stalled = msg.headers?.get(HEADER_STALLED) ?? '';
    if (stalled !== '') nc.publish(stalled, Empty);
    const lastSent = Number(msg.headers?.get(HEADER_LAST_CONSUMER_SEQ) || consumerSeq);
    if (lastSent !== consumerSeq) doubt('delivery_gap');
  };

  const alive = (): void => {
    silentTicks = 0;
    onAlive();
  };

  const onTick = (): void => {
    silentTicks++;
    if (silentTicks < SILENT_MAX_TICKS) return;
    // When the event loop was blocked, what came meanwhile is read after the timers: look again behind that.
    const seen = silentTicks;
    setImmediate(() => {
      if (silentTicks >= seen) doubt('heartbeats_missed');
    });
  };

  const close = (): void => {
    state = 'closed';
    clearInterval(monitor);
    if (!nc.isClosed()) unsubscribe?.();
    unsubscribe = undefined;
  };

  const open = async (): Promise<void> => {
    if (state !== 'new') return;
    state = 'open';
    const inbox = createInbox(inboxPrefixOf(nc));
    const sub = nc.subscribe(inbox, {
      callback: (error, msg) => {
        if (state === 'closed') return;
        if (error !== null) return doubt('subscription_failed');
        const reply = msg.reply ?? '';
        if (reply.startsWith(ACK_PREFIX)) onData(reply, msg);
        else onControl(reply, msg);
      },
    });
    unsubscribe = () => sub.unsubscribe();
    const info = await jsm.consumers.add(stream, {
      name,
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Math.max(1, startSeq),
      ...(options.filterSubject === undefined ? {} : { filter_subject: options.filterSubject }),
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      max_deliver: 1,
      flow_control: true,
      idle_heartbeat: nanos(heartbeatMs),
      inactive_threshold: nanos(INACTIVE_THRESHOLD_MS),
      mem_storage: true,
      num_replicas: 1,
    });
    if ((state as string) === 'closed') return;
    // Messages may have come before this answer; what they say is newer.
    if (consumerSeq === 0) pendingCount = info.num_pending;
    monitor = setInterval(onTick, heartbeatMs / 2);
  };

  return { name, open, close, pendingCount: () => pendingCount };
};

/** nats-core keeps the connection's options on it, but its type does not say so. */
const inboxPrefixOf = (nc: NatsConnection): string | undefined =>
  (nc as unknown as { readonly options?: { readonly inboxPrefix?: string } }).options?.inboxPrefix;
