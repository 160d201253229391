/**
 * The connection registry: which gateway holds which users, for operators (`nats kv ls gateways`, `nats kv get gateways
 * <instance>.users.0`). Nothing is decided by it. Keys in the bucket `gateways`:
 *   <instance>.info      sockets, users, since when, draining
 *   <instance>.users.<n> page n: {team: {user: sockets}}
 * Every key is written again each heartbeat, and the *bucket's* TTL (three heartbeats and a bit) takes away what is not: a
 * gateway that died is gone within it also when no other is left to notice. Changes are written at most every FLUSH_MS, a
 * page at a time, WRITES_MAX_COUNT in a flush; what does not fit waits for the next. A write that fails leaves its page due.
 */

import type { TeamId, UserId } from '@chat/contracts/ids';
import { REGISTRY_BUCKET, registryKey } from '@chat/contracts/registry';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { ensureBucket, purgeValue, putValue } from '@chat/platform/nats/bucket';
import { onceAsync } from '@chat/platform/service';
import { createRegistryPages } from './registry-pages.ts';

const FLUSH_MS = 2_000;
const WRITES_MAX_COUNT = 16;

export type RegistryDeps = {
  readonly nats: NatsHandle;
  readonly instance: string;
  readonly heartbeatMs: number;
  readonly replicas: number;
  readonly socketCount: () => number;
  readonly isDraining: () => boolean;
  readonly nowMs: () => number;
  readonly log: Logger;
};

export type Registry = {
  joined(teamId: TeamId, userId: UserId): void;
  left(teamId: TeamId, userId: UserId): void;
  readonly userCount: number;
  start(): void;
  /** Takes this gateway's keys away. */
  stop(): Promise<void>;
};

export const createRegistry = (deps: RegistryDeps): Registry => {
  const { nats, instance, log, nowMs } = deps;
  const pages = createRegistryPages();
  const startedAtMs = nowMs();
  const written = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();
  let isFlushing = false;
  let hasBucket = false;
  let isFailing = false;
  /** By `performance.now()`: a clock set back must not delay a heartbeat. */
  let heartbeatAtMs = -Infinity;

  const put = async (key: string, value: object | undefined): Promise<void> => {
    if (value) {
      written.add(key);
      await putValue(nats.js, REGISTRY_BUCKET, key, value);
      return;
    }
    await purgeValue(nats.js, REGISTRY_BUCKET, key);
    written.delete(key);
  };

  const info = () => ({
    sockets: deps.socketCount(),
    users: pages.userCount,
    startedAt: new Date(startedAtMs).toISOString(),
    draining: deps.isDraining(),
  });

  const flushPages = async (): Promise<void> => {
    const due = pages.takeDue(WRITES_MAX_COUNT);
    const results = await Promise.allSettled(
      due.map(async ({ index, content }) => {
        await put(registryKey.users(instance, index), content);
      }),
    );
    results.forEach((result, at) => {
      if (result.status === 'rejected') pages.touch(due[at]?.index ?? -1);
    });
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  };

  const flush = async (): Promise<void> => {
    if (!hasBucket) {
      await ensureBucket(nats.jsm, {
        bucket: REGISTRY_BUCKET,
        ttlMs: 3 * deps.heartbeatMs + deps.heartbeatMs / 4,
        replicas: deps.replicas,
      });
      hasBucket = true;
    }
    const now = performance.now();
    if (now - heartbeatAtMs >= deps.heartbeatMs) {
      await put(registryKey.info(instance), info());
      heartbeatAtMs = now;
      pages.touchAll();
    }
    await flushPages();
  };

  const tick = (): void => {
    if (isFlushing) return;
    isFlushing = true;
    flushing = flush()
      .then(() => {
        isFailing = false;
      })
      .catch((error: unknown) => {
        // The bucket may be gone (a broker that lost its store): it is looked for again.
        hasBucket = false;
        if (!isFailing) log.warn({ reason: reasonOf(error) }, 'the connection registry cannot be written');
        isFailing = true;
      })
      .finally(() => {
        isFlushing = false;
      });
  };

  return {
    joined: pages.add,
    left: pages.remove,
    get userCount() {
      return pages.userCount;
    },
    start: () => {
      timer ??= setInterval(tick, Math.min(FLUSH_MS, deps.heartbeatMs / 2));
      tick();
    },
    stop: onceAsync(async () => {
      clearInterval(timer);
      await flushing;
      // Best effort: the bucket's TTL does the same a little later.
      await Promise.allSettled([...written].map((key) => put(key, undefined)));
    }),
  };
};
