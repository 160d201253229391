/** What a store promises of its catalogue and of its versions, over real servers. */

import { expect, it } from 'vitest';
import {
  type Change,
  abortRebuild,
  beginRebuild,
  changeCatalog,
  forgetVersion,
  liveVersion,
  switchVersion,
} from '../catalog/catalog.ts';
import type { VersionId, ViewStore } from '../catalog/view-store.ts';
import { teams } from './arbitrary-history.ts';
import { batchOf } from './contract.ts';
import { HistoryBuilder } from './history-builder.ts';
import type { UserId } from '@chat/contracts/ids';

const second: VersionId = { view: 'core', version: 2 };

/** `open`: of an empty store, the same one each time it is called within a test. */
export const itKeepsACatalog = (name: string, open: () => ViewStore): void => {
  it(`${name}: without a catalogue version 1 of every view is live`, async () => {
    const { entries } = await open().catalog.read();
    expect(entries.core).toMatchObject({ revision: 0, versions: [{ version: 1, state: 'live' }] });
    expect(liveVersion(entries.search).version).toBe(1);
  });

  it(`${name}: of two who begin a rebuild at once, through two connections, one is told that it runs`, async () => {
    const store = open();
    await Promise.all([store.catalog.prepare(), store.catalog.prepare()]);
    for (let round = 0; round < 5; round += 1) {
      const changes: Change[] = await Promise.all(
        [1, 2, 3].map(() => changeCatalog(store.catalog, 'core', beginRebuild)),
      );
      const begun = changes.flatMap((change) => (change.kind === 'changed' ? [change.version] : []));
      expect(begun).toEqual([round + 2]);
      const refused = changes.filter(({ kind }) => kind === 'refused');
      expect(refused).toEqual([
        { kind: 'refused', code: 'REBUILD_RUNNING', version: round + 2 },
        { kind: 'refused', code: 'REBUILD_RUNNING', version: round + 2 },
      ]);
      await changeCatalog(store.catalog, 'core', abortRebuild);
    }
    const { entries, nowMs } = await store.catalog.read();
    expect(entries.core.revision).toBe(10);
    expect(entries.core.versions.map(({ state }) => state)).toEqual(['live', ...Array(5).fill('retired')]);
    expect(Math.abs(nowMs - Date.now())).toBeLessThan(60_000);
    expect(await store.catalog.swap(forgetVersion(entries.core, 2))).toBe(true);
    expect(await store.catalog.swap(forgetVersion(entries.core, 3))).toBe(false);
    expect(entries.search.revision).toBe(0);
  });

  it(`${name}: versions hold their own rows, and of a dropped one nothing is left`, async () => {
    const store = open();
    await store.catalog.prepare();
    const builder = new HistoryBuilder();
    builder.createTeam(teams[0]!, 'ann' as UserId, 'team');
    const batch = batchOf(builder.events, 0, builder.events.length);
    const first: VersionId = { view: 'core', version: 1 };
    for (const id of [first, second]) {
      await store.prepareVersion(id);
      await store.prepareVersion(id);
    }
    expect(await store.open(second).target.applyBatch(batch)).toMatchObject({ kind: 'applied' });
    expect(await store.open(first).target.checkpoint(batch.partition)).toBeUndefined();
    expect(await store.open(second).target.checkpoint(batch.partition)).toMatchObject({ seq: batch.upTo });
    expect(await store.listVersions()).toEqual(expect.arrayContaining([first, second]));
    await store.dropVersion(first);
    await store.dropVersion(first);
    expect(await store.listVersions()).not.toContainEqual(first);
    expect(await store.open(second).target.checkpoint(batch.partition)).toMatchObject({ seq: batch.upTo });
    await store.dropVersion(second);
    expect(await store.listVersions()).toEqual([]);
  });

  it(`${name}: a switch names the new version live in one step`, async () => {
    const store = open();
    await store.catalog.prepare();
    const begun = await changeCatalog(store.catalog, 'search', beginRebuild);
    if (begun.kind !== 'changed') throw new Error('not begun');
    const switched = await changeCatalog(store.catalog, 'search', (entry, nowMs) =>
      switchVersion(entry, begun.version, nowMs, 5_000),
    );
    expect(switched.kind).toBe('changed');
    const { entries, nowMs } = await store.catalog.read();
    expect(liveVersion(entries.search).version).toBe(begun.version);
    const retired = entries.search.versions.find(({ state }) => state === 'retired');
    expect((retired?.dropAfterMs ?? 0) - nowMs).toBeGreaterThan(1_000);
  });
};
