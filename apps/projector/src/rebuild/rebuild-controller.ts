/**
 * What every projector does for the versions in the catalogue, at each look: switch to a version that has caught up, and
 * drop what is past its grace. There is no leader and nothing to resume: it all follows from catalogue and checkpoints,
 * each step is one swap of the catalogue or may be done twice, and of two processes at once one finds it done.
 *
 * Order of an end: past `dropAfterMs` nobody projects it any more (each at its next look) → DROP_MARGIN later it is
 * dropped → it leaves the catalogue. A crash in between: dropped again. What a process that slept through all that writes
 * afterwards stands in no catalogue, and is swept.
 */

import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import {
  type Catalog,
  type ViewName,
  buildingVersion,
  changeCatalog,
  forgetVersion,
  liveVersion,
  switchVersion,
} from '@chat/read-model/catalog/catalog';
import type { VersionId, ViewStore } from '@chat/read-model/catalog/view-store';
import { type ProgressDeps, endsOf, progressOf } from './progress.ts';

export type RebuildControllerDeps = ProgressDeps & {
  readonly store: ViewStore;
  readonly graceMs: number;
  /** How often the catalogue is looked at, by every projector. */
  readonly intervalMs: number;
  readonly log: Logger;
};

export type RebuildController = { afterLook(catalog: Catalog): Promise<void> };

/** A version has caught up when it has, in every partition, all that streams and live version held so long ago, or at the look before. */
const CAUGHT_UP_MS = 500;
const SWEEP_INTERVAL_MS = 10_000;

export const createRebuildController = (deps: RebuildControllerDeps): RebuildController => {
  const { store, graceMs, log } = deps;
  /** Ends of streams and live version at some look; at most one of each version that is being built. */
  const samples = new Map<string, { readonly heads: readonly number[]; readonly atMs: number }>();
  let sweptAtMs = -Infinity;

  /** A version that stands still at an event, however near to the end, has not. */
  const hasCaughtUp = async (id: VersionId, live: number): Promise<boolean> => {
    const key = `${id.view}-${id.version}`;
    const heads = samples.get(key)?.heads ?? (await endsOf(deps, { view: id.view, version: live }));
    const sample = samples.get(key) ?? { heads, atMs: performance.now() };
    samples.set(key, sample);
    const partitions = await progressOf(deps, id, sample.heads);
    if (partitions.every(({ headSeq, seq }) => seq >= headSeq)) return true;
    if (performance.now() - sample.atMs >= CAUGHT_UP_MS) samples.delete(key);
    return false;
  };

  const switchIfCaughtUp = async (view: ViewName, version: number, live: number): Promise<void> => {
    if (!(await hasCaughtUp({ view, version }, live))) return;
    // Without statistics questions are slow until the server gathers them by itself; a version that never goes live is worse.
    await step('the gathering of statistics', () => store.analyzeVersion({ view, version }));
    const change = await changeCatalog(store.catalog, view, (entry, nowMs) =>
      switchVersion(entry, version, nowMs, graceMs),
    );
    samples.delete(`${view}-${version}`);
    if (change.kind === 'changed') log.info({ view, version }, 'a rebuilt version is live');
  };

  const end = async (id: VersionId): Promise<void> => {
    await store.dropVersion(id);
    for (;;) {
      const { entries } = await store.catalog.read();
      const entry = entries[id.view];
      if (!entry.versions.some(({ version }) => version === id.version)) return;
      if (await store.catalog.swap(forgetVersion(entry, id.version))) break;
    }
    log.info(id, 'a retired version was dropped');
  };

  /** Listed before the catalogue is read: what is made meanwhile is not in the list, what is gone from the catalogue was dropped. */
  const sweep = async (): Promise<void> => {
    const found = await store.listVersions();
    const { entries } = await store.catalog.read();
    for (const id of found) {
      const { revision, lastVersion, versions } = entries[id.view];
      // Nothing was ever written down of this view: the catalogue is no witness.
      if (revision === 0 || versions.some(({ version }) => version === id.version)) continue;
      if (id.version > lastVersion) {
        // A version is made only after its number was given: this catalogue is older than the store, so it is no witness either.
        log.warn(
          id,
          'a version that the catalogue never gave is left alone; drop it by hand if nobody misses it',
        );
        continue;
      }
      await store.dropVersion(id);
      log.warn(id, 'a version that no catalogue names was dropped');
    }
  };

  const step = async (what: string, run: () => Promise<void>): Promise<void> => {
    await run().catch((error: unknown) =>
      log.warn({ reason: reasonOf(error) }, `${what} failed, tried again`),
    );
  };

  return {
    afterLook: async ({ entries, nowMs }) => {
      for (const view of store.views) {
        const building = buildingVersion(entries[view]);
        const live = liveVersion(entries[view]).version;
        if (building) await step('a switch', () => switchIfCaughtUp(view, building.version, live));
        for (const { version, state, dropAfterMs = Infinity } of entries[view].versions) {
          const isOver = state === 'retired' && nowMs >= dropAfterMs + 2 * deps.intervalMs;
          if (isOver) await step('a drop', () => end({ view, version }));
        }
      }
      if (performance.now() - sweptAtMs < SWEEP_INTERVAL_MS) return;
      sweptAtMs = performance.now();
      await step('a sweep', sweep);
    },
  };
};
