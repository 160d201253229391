/**
 * NATS was gone: does it still have what it acknowledged? A node that lost power may come back without its last seconds,
 * and with them commands that were accepted. Their senders send them again after 10 s of silence, but what they write
 * meanwhile would overtake them for ever. So nothing is published between the loss of the connection and the answer; where
 * the newest acknowledged command is gone, the sessions that wait for accepted ones are closed with a reconnect code:
 * their clients then send all that is pending again, in its order.
 *
 * States of a partition: open → (disconnected) held → (reconnected, and asked) open. A store is lost from its end, so
 * that the newest command stands for all before it. No answer (no leader yet) is asked for again until the next loss of
 * the connection: nothing could be stored meanwhile either. What waits too long is refused by the queue, as ever.
 */

import { commandMsgId } from '@chat/contracts/commands';
import { closeCodes } from '@chat/contracts/protocol';
import { HEADER_MSG_ID, cmdStream } from '@chat/contracts/streams';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { getMessage } from '@chat/platform/nats/streams';
import { backoffMs, pause } from '@chat/platform/resilience/backoff';
import { withTimeout } from '@chat/platform/resilience/deadline';
import type { Partition } from '../feed/partition.ts';
import type { Session } from '../session/session.ts';
import type { Waiter } from './waiter.ts';

/** A stream without a leader does not answer at all, and has one again any moment. */
const ANSWER_TIMEOUT_MS = 1_000;
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 1_000;

export type StoreGuardDeps = {
  readonly nats: NatsHandle;
  readonly partitions: readonly Partition[];
  readonly close: (session: Session, code: number, reason: string) => void;
  /** Its sessions may publish again. */
  readonly onOpen: () => void;
  readonly log: Logger;
};

export type StoreGuard = {
  readonly start: () => void;
  readonly stop: () => void;
  /** Nothing may be published for this partition now. */
  readonly isHeld: (partition: Partition) => boolean;
};

/** The acknowledged command of the partition that stands last in the stream, of those without an outcome. */
const newestStored = (partition: Partition): Waiter | undefined => {
  let newest: Waiter | undefined;
  for (const session of partition.sessions) {
    for (const waiter of session.unresolved) {
      if (waiter.state === 'stored' && waiter.storedSeq > (newest?.storedSeq ?? 0)) newest = waiter;
    }
  }
  return newest;
};

const hasStored = (session: Session): boolean => {
  for (const { state } of session.unresolved) if (state === 'stored') return true;
  return false;
};

export const createStoreGuard = ({ nats, partitions, close, onOpen, log }: StoreGuardDeps): StoreGuard => {
  const held = new Set<Partition>();
  /** Of the connection that was lost last: ends the asking about the one before. */
  let asking = new AbortController();
  let statuses: { stop(): void } | undefined;

  const isThere = async (
    partition: Partition,
    { session, id, hash, storedSeq }: Waiter,
  ): Promise<boolean> => {
    const asked = getMessage(nats.jsm, cmdStream(partition.index), { seq: storedSeq });
    const message = await withTimeout(asked, ANSWER_TIMEOUT_MS, 'asking the command stream');
    return message?.header(HEADER_MSG_ID) === commandMsgId(session.userId, id, hash);
  };
  const open = (partition: Partition): void => {
    held.delete(partition);
    onOpen();
  };
  const sendAway = (partition: Partition, newest: Waiter): void => {
    const lost = [...partition.sessions].filter(hasStored);
    log.warn(
      { partition: partition.index, cmdSeq: newest.storedSeq, sessionCount: lost.length },
      'the command stream lost its tail; clients send their accepted commands again',
    );
    for (const session of lost) close(session, closeCodes.GATEWAY_BEHIND, 'accepted commands were lost');
  };
  const ask = async (partition: Partition, signal: AbortSignal): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      // Anew each time: its outcome may have come meanwhile.
      const newest = newestStored(partition);
      try {
        if (newest && !(await isThere(partition, newest)) && !signal.aborted) sendAway(partition, newest);
        if (!signal.aborted) open(partition);
        return;
      } catch (error) {
        log.debug(
          { partition: partition.index, reason: reasonOf(error) },
          'the command stream is asked again',
        );
        await pause(backoffMs({ attempt, baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS }), signal);
      }
    }
  };
  const onStatus = (type: string): void => {
    if (type === 'disconnect') {
      asking.abort();
      for (const partition of partitions) held.add(partition);
    } else if (type === 'reconnect') {
      asking.abort();
      asking = new AbortController();
      for (const partition of held) void ask(partition, asking.signal);
    }
  };
  return {
    start: () => {
      const iterator = nats.nc.status();
      statuses = iterator as unknown as { stop(): void };
      void (async () => {
        for await (const { type } of iterator) onStatus(type);
      })();
    },
    stop: () => {
      asking.abort();
      statuses?.stop();
    },
    // The connection's own word comes first: what the end of the connection gives back must not be published again at once.
    isHeld: (partition) => held.has(partition) || !nats.status().ok,
  };
};
