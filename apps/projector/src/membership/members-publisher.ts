/**
 * The membership view of one partition: after a batch is committed, the values of the users it touched, and then the
 * position. The order is the promise: when `mbr.<p>.pos` says asOf, every value up to asOf is in the stream.
 *
 * States: idle → recovering → following → stopped. A recovery publishes everyone whose membership changed after the
 * position found in the stream: at the start (a crash between commit and publish), and whenever the stream turns out
 * to hold less than what was published (made anew, or its tail lost).
 * A cycle takes the users noted so far and the newest asOf, publishes both, and waits at least `intervalMs`.
 * Users stay noted until their value is acknowledged; trouble means the same cycle again, for ever.
 */

import type { MembersPosition } from '@chat/contracts/events';
import { mbrPositionSubject, mbrSubject } from '@chat/contracts/subjects';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { pause, retryUntil } from '@chat/platform/resilience/backoff';
import { onceAsync } from '@chat/platform/service';
import type { MemberKey, ReadModel } from '@chat/read-model/port';
import { Signal } from '../partition/signal.ts';
import type { MembersStore, Stored } from './members-store.ts';

export type MembersPublisherDeps = {
  readonly partition: number;
  readonly readModel: ReadModel;
  readonly store: MembersStore;
  readonly intervalMs: number;
  readonly log: Logger;
};

export type MembersPublisher = {
  start(): Promise<void>;
  /** Publishes what is noted if that is quick; the rest is found by the next start. */
  stop(): Promise<void>;
  /** These users may have changed, and the read model holds everything up to `asOf`. */
  note(users: readonly MemberKey[], asOf: number, epoch: string): void;
  /** Waits while too many users are noted. */
  room(signal: AbortSignal): Promise<void>;
  /** Why the view is behind for now. */
  trouble(): string | undefined;
};

const NOTED_MAX_COUNT = 10_000;
const PUBLISH_CONCURRENCY = 16;
const RECOVERY_PAGE_COUNT = 500;
/** How often an idle publisher looks whether the stream still holds its position. */
const VERIFY_INTERVAL_MS = 5_000;
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 2_000;
const FLUSH_MAX_MS = 2_000;

export const createMembersPublisher = (deps: MembersPublisherDeps): MembersPublisher => {
  const { partition, readModel, store, intervalMs, log } = deps;
  const positionSubject = mbrPositionSubject(partition);
  const stopping = new AbortController();
  const giveUp = new AbortController();
  const wake = new Signal();
  const hasRoom = new Signal();
  let noted = new Map<string, MemberKey>();
  let target: MembersPosition | undefined;
  /** The position as we know it in the stream. */
  let published: Stored | undefined;
  let troubleReason: string | undefined;
  let running: Promise<void> = Promise.resolve();

  const publishUser = async ({ teamId, userId }: MemberKey): Promise<void> => {
    const view = await readModel.membership(teamId, userId);
    if (view) await store.put(mbrSubject(teamId, userId), view);
  };

  const publishUsers = async (users: readonly MemberKey[]): Promise<void> => {
    let next = 0;
    const work = async (): Promise<void> => {
      for (let user = users[next++]; user; user = users[next++]) await publishUser(user);
    };
    await Promise.all(Array.from({ length: Math.min(PUBLISH_CONCURRENCY, users.length) }, work));
  };

  const publishPosition = async (position: MembersPosition, known: Stored | undefined): Promise<void> => {
    const result = await store.put(positionSubject, position, known ?? 'none');
    published = result.kind === 'stored' ? { ...position, seq: result.seq } : result.stored;
  };

  /** Everyone who changed after the position `found` in the stream; then that much is the position. */
  const recover = async (found: Stored | undefined, epoch: string): Promise<void> => {
    const checkpoint = await readModel.checkpoint(partition);
    const from = found?.epoch === epoch ? found.asOf : 0;
    published = found ?? { asOf: 0, epoch, seq: 0 };
    if (!checkpoint || checkpoint.seq <= from) return;
    log.info(
      { partition, from, to: checkpoint.seq },
      'publishing the memberships that changed since the position',
    );
    for (let after = from; ;) {
      const page = await readModel.changedMembers(partition, after, RECOVERY_PAGE_COUNT);
      const users = new Map(page.map((user) => [keyOf(user), user]));
      await publishUsers([...users.values()]);
      const last = page.at(-1);
      if (!last || page.length < RECOVERY_PAGE_COUNT) break;
      after = last.seq;
    }
    await publishPosition({ asOf: checkpoint.seq, epoch: checkpoint.epoch }, found);
  };

  /** The position in the stream, after whatever is needed to make it true. */
  const soundPosition = async (epoch: string): Promise<Stored | undefined> => {
    const found = await store.get(positionSubject);
    const isLost = published !== undefined && (found?.seq ?? 0) < published.seq;
    if (isLost) {
      log.warn(
        { partition, was: published?.asOf, is: found?.asOf },
        'the membership view lost what was published',
      );
      await store.ensure();
    }
    if (published?.epoch === epoch && !isLost) return found;
    await recover(found, epoch);
    return published?.seq ? published : undefined;
  };

  const cycle = async (epoch: string): Promise<void> => {
    const before = await soundPosition(epoch);
    const taken = noted;
    const position = target;
    noted = new Map();
    try {
      await publishUsers([...taken.values()]);
      const isAhead = position?.asOf !== before?.asOf || position?.epoch !== before?.epoch;
      if (position && isAhead) await publishPosition(position, before);
    } catch (error) {
      for (const [key, user] of taken) noted.set(key, user);
      throw error;
    }
    hasRoom.set();
  };

  const untilDone = async (step: () => Promise<unknown>): Promise<void> => {
    await retryUntil(giveUp.signal, step, {
      baseMs: RETRY_BASE_MS,
      maxMs: RETRY_MAX_MS,
      onRetry: (error, attempt) => {
        troubleReason = reasonOf(error);
        if (attempt % 10 !== 0) return;
        log.warn({ partition, attempt, reason: troubleReason }, 'membership view not written, trying again');
      },
    });
    troubleReason = undefined;
  };

  const run = async (): Promise<void> => {
    // Made before there is anything to say: gateways wait for the stream, also while the partition is empty.
    await untilDone(store.ensure);
    while (!stopping.signal.aborted) {
      await wake.wait(stopping.signal, VERIFY_INTERVAL_MS);
      const { epoch } = target ?? {};
      if (epoch !== undefined) await untilDone(() => cycle(epoch));
      await pause(intervalMs, stopping.signal);
    }
    const { epoch } = target ?? {};
    if (epoch !== undefined) await untilDone(() => cycle(epoch));
  };

  return {
    start: onceAsync(async () => {
      running = run().catch((error: unknown) => {
        if (!giveUp.signal.aborted) throw error;
      });
    }),
    stop: onceAsync(async () => {
      const timer = setTimeout(() => giveUp.abort(), FLUSH_MAX_MS);
      stopping.abort();
      wake.set();
      await running;
      clearTimeout(timer);
    }),
    note: (users, asOf, epoch) => {
      for (const user of users) noted.set(keyOf(user), user);
      target = { asOf, epoch };
      wake.set();
    },
    room: async (signal) => {
      while (noted.size >= NOTED_MAX_COUNT && !signal.aborted) await hasRoom.wait(signal, RETRY_MAX_MS);
    },
    trouble: () => troubleReason,
  };
};

const keyOf = ({ teamId, userId }: MemberKey): string => `${teamId}/${userId}`;
