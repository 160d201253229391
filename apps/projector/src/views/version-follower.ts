/**
 * Looks at the catalogue and makes what is projected follow it. A version is projected once it is prepared (its tables or
 * collections are there), until it is past its grace.
 *
 * States: idle → following → stopped. The first look waits for the store as long as it takes (the process is not ready);
 * later ones that fail leave everything as it is: what runs is right as long as nobody could have switched unseen, and a
 * version that is projected a little longer than needed does no harm.
 */

import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { classify } from '@chat/platform/postgres/sqlstate';
import { retryUntil } from '@chat/platform/resilience/backoff';
import { type Service, onceAsync } from '@chat/platform/service';
import { type Catalog, projectedVersions } from '@chat/read-model/catalog/catalog';
import type { VersionId, ViewStore } from '@chat/read-model/catalog/view-store';
import { Signal } from '../partition/signal.ts';
import type { DesiredVersion, PartitionViews } from './partition-views.ts';

export type VersionFollowerDeps = {
  readonly store: ViewStore;
  readonly intervalMs: number;
  /** The partitions that are ours at the moment. */
  readonly open: () => Iterable<PartitionViews>;
  /** After what is projected follows the catalogue; one at a time. Does not throw. */
  readonly afterLook?: (catalog: Catalog) => Promise<void>;
  readonly log: Logger;
};

export type VersionFollower = Service & { lookNow(): void };

export const createVersionFollower = (deps: VersionFollowerDeps): VersionFollower => {
  const { store, intervalMs, log } = deps;
  const abort = new AbortController();
  const { signal } = abort;
  const wake = new Signal();
  const prepared = new Set<string>();
  const preparing = new Map<string, Promise<void>>();
  let working: Promise<void> | undefined;
  let running: Promise<void> = Promise.resolve();

  /** Shared by who waits for it; a failed one is begun again by the next. */
  const prepare = (id: VersionId, key: string): Promise<void> => {
    const begun = preparing.get(key);
    if (begun) return begun;
    const done = store
      .prepareVersion(id)
      .then(() => void prepared.add(key))
      .finally(() => preparing.delete(key));
    preparing.set(key, done);
    return done;
  };

  /** What is live is waited for; nothing else may hold it up, so that comes in when it is prepared. */
  const isPrepared = async (id: VersionId, isLive: boolean): Promise<boolean> => {
    const key = `${id.view}-${id.version}`;
    if (prepared.has(key)) return true;
    const done = prepare(id, key);
    if (isLive) await done;
    else {
      done.then(wakeUp, (error: unknown) =>
        log.warn({ ...id, reason: reasonOf(error) }, 'a version was not prepared, tried again'),
      );
    }
    return isLive;
  };
  const wakeUp = (): void => wake.set();

  const desiredOf = async ({ entries, nowMs }: Catalog): Promise<readonly DesiredVersion[]> => {
    const desired: DesiredVersion[] = [];
    for (const view of store.views) {
      for (const { version, state: stage } of projectedVersions(entries[view], nowMs)) {
        const id = { view, version };
        if (await isPrepared(id, stage === 'live')) desired.push({ ...id, stage, open: store.open(id) });
      }
    }
    return desired;
  };

  const look = async (): Promise<void> => {
    const catalog = await store.catalog.read();
    const desired = await desiredOf(catalog);
    await Promise.all([...deps.open()].map((views) => views.follow(desired)));
    // Not waited for: a drop may take its time, and a partition that was just gained is not to wait for it.
    working ??= deps.afterLook?.(catalog).finally(() => (working = undefined));
  };

  const run = async (): Promise<void> => {
    let failedCount = 0;
    while (!signal.aborted) {
      try {
        await look();
        failedCount = 0;
      } catch (error) {
        failedCount += 1;
        if (failedCount % 20 === 1)
          log.warn({ failedCount, reason: reasonOf(error) }, 'the catalogue of views was not followed');
      }
      await wake.wait(signal, intervalMs);
    }
  };

  return {
    lookNow: () => wake.set(),
    start: onceAsync(async () => {
      const prepareAll = async (): Promise<void> => {
        await store.catalog.prepare();
        await desiredOf(await store.catalog.read());
      };
      await retryUntil(signal, prepareAll, {
        baseMs: 200,
        maxMs: 2_000,
        isRetryable: (error) => classify(error) === 'transient',
        onRetry: (error) =>
          log.warn({ reason: reasonOf(error) }, 'the read store does not answer, trying again'),
      });
      running = run();
    }),
    stop: onceAsync(async () => {
      abort.abort();
      wake.set();
      await running;
      await Promise.allSettled([working, ...preparing.values()]);
    }),
  };
};
