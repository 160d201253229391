/**
 * How far the projector's membership view reaches, per partition: ONE ordered feed on `mbr.*.pos` for the whole
 * gateway. A view read after a position was received is complete to that position.
 */

import type { MembersPosition } from '@chat/contracts/events';
import { membersStream } from '@chat/contracts/streams';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type OrderedFeed, createOrderedFeed } from '@chat/platform/nats/ordered-feed';

export type MembersPositions = {
  start(): Promise<void>;
  stop(): Promise<void>;
  of(partition: number): MembersPosition | undefined;
  /** The position once it is known; undefined after `timeoutMs`. */
  wait(partition: number, timeoutMs: number): Promise<MembersPosition | undefined>;
};

export type MembersPositionsDeps = {
  readonly nats: NatsHandle;
  readonly namePrefix: string;
  readonly log: Logger;
};

const POSITION_SUBJECT = /^mbr\.(\d+)\.pos$/;

export const createMembersPositions = ({ nats, namePrefix, log }: MembersPositionsDeps): MembersPositions => {
  const positions = new Map<number, MembersPosition>();
  let waiters: { readonly partition: number; readonly settle: () => void }[] = [];

  const onMessage = (subject: string, data: Uint8Array): void => {
    const match = POSITION_SUBJECT.exec(subject);
    if (!match) return;
    const partition = Number(match[1]);
    try {
      positions.set(partition, JSON.parse(Buffer.from(data).toString()) as MembersPosition);
    } catch {
      log.error({ partition }, 'the membership position cannot be read');
      return;
    }
    const due = waiters.filter((waiter) => waiter.partition === partition);
    waiters = waiters.filter((waiter) => waiter.partition !== partition);
    for (const waiter of due) waiter.settle();
  };

  const feed: OrderedFeed = createOrderedFeed({
    ...nats,
    stream: membersStream,
    startSeq: 1,
    filterSubject: 'mbr.*.pos',
    namePrefix: `${namePrefix}_members`,
    onMessage: (msg) => onMessage(msg.subject, msg.data),
    // A stream made anew counts from 1 again.
    onReset: (reason) => {
      if (reason !== 'stream_recreated' && reason !== 'stream_behind') return;
      positions.clear();
      feed.restartFrom(1);
    },
    log,
  });

  return {
    start: () => feed.start(),
    stop: () => feed.stop(),
    of: (partition) => positions.get(partition),
    wait: (partition, timeoutMs) => {
      const known = positions.get(partition);
      if (known) return Promise.resolve(known);
      return new Promise((resolve) => {
        const waiter = {
          partition,
          settle: () => {
            clearTimeout(timer);
            resolve(positions.get(partition));
          },
        };
        const timer = setTimeout(() => {
          waiters = waiters.filter((other) => other !== waiter);
          resolve(undefined);
        }, timeoutMs);
        waiters.push(waiter);
      });
    },
  };
};
