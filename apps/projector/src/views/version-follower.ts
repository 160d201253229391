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
  /** After what is projected follows the catalogue. May throw: tried again with the next look. */
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
  let running: Promise<void> = Promise.resolve();

  const prepare = async (id: VersionId): Promise<void> => {
    const key = `${id.view}-${id.version}`;
    if (prepared.has(key)) return;
    await store.prepareVersion(id);
    prepared.add(key);
  };

  const desiredOf = async ({ entries, nowMs }: Catalog): Promise<readonly DesiredVersion[]> => {
    const desired: DesiredVersion[] = [];
    for (const view of store.views) {
      for (const { version, state: stage } of projectedVersions(entries[view], nowMs)) {
        const id = { view, version };
        await prepare(id);
        desired.push({ ...id, stage, open: store.open(id) });
      }
    }
    return desired;
  };

  const look = async (): Promise<void> => {
    const catalog = await store.catalog.read();
    const desired = await desiredOf(catalog);
    await Promise.all([...deps.open()].map((views) => views.follow(desired)));
    await deps.afterLook?.(catalog);
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
    }),
  };
};
