/**
 * How many requests of each user this api took, told to the other apis every SHARE_EVERY_MS over core NATS. Lost is what
 * was said while NATS was away: then each api counts its own alone.
 *
 * Bounds: of more than USERS_MAX_COUNT users within one turn the further ones are not told; a message names at most
 * USERS_PER_MESSAGE_COUNT of them, the busiest, so that a flood of users costs no more than one message a turn.
 */

import { type UserId, parseUserId } from '@chat/contracts/ids';
import { apiRequestsSubject } from '@chat/contracts/subjects';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type Service, onceAsync } from '@chat/platform/service';

export const SHARE_EVERY_MS = 1_000;
const USERS_MAX_COUNT = 10_000;
const USERS_PER_MESSAGE_COUNT = 1_000;

export type SharedCounts = Service & {
  taken(userId: UserId): void;
};

export type SharedCountsDeps = {
  readonly nats: Pick<NatsHandle, 'nc'>;
  readonly instance: string;
  /** Another api took `count` requests of the user. */
  readonly onTaken: (userId: UserId, count: number) => void;
  readonly log: Logger;
};

type Shared = { readonly from: string; readonly users: Readonly<Record<string, number>> };

const decode = (bytes: Uint8Array): Shared | undefined => {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<Shared> | null;
    const isShared =
      typeof value?.from === 'string' && typeof value.users === 'object' && value.users !== null;
    return isShared ? (value as Shared) : undefined;
  } catch {
    return undefined;
  }
};

export const createSharedCounts = ({ nats, instance, onTaken, log }: SharedCountsDeps): SharedCounts => {
  let counts = new Map<UserId, number>();
  let timer: NodeJS.Timeout | undefined;

  const tell = (): void => {
    if (counts.size === 0) return;
    const busiest = [...counts].sort((a, b) => b[1] - a[1]).slice(0, USERS_PER_MESSAGE_COUNT);
    counts = new Map();
    const message: Shared = { from: instance, users: Object.fromEntries(busiest) };
    try {
      nats.nc.publish(apiRequestsSubject, JSON.stringify(message));
    } catch (error) {
      log.debug({ reason: reasonOf(error) }, 'what users asked for was not told to the other apis');
    }
  };

  const hear = (bytes: Uint8Array): void => {
    const message = decode(bytes);
    if (message === undefined || message.from === instance) return;
    for (const [user, count] of Object.entries(message.users)) {
      const userId = parseUserId(user);
      if (userId !== undefined && Number.isSafeInteger(count) && count > 0) onTaken(userId, count);
    }
  };

  return {
    taken: (userId) => {
      const count = counts.get(userId);
      if (count !== undefined) counts.set(userId, count + 1);
      else if (counts.size < USERS_MAX_COUNT) counts.set(userId, 1);
    },
    start: onceAsync(async () => {
      nats.nc.subscribe(apiRequestsSubject, {
        callback: (error, msg) => {
          if (error === null) hear(msg.data);
          else log.warn({ reason: reasonOf(error) }, 'what users ask of other apis cannot be heard');
        },
      });
      timer = setInterval(tell, SHARE_EVERY_MS);
      timer.unref();
    }),
    stop: onceAsync(async () => {
      clearInterval(timer);
    }),
  };
};
