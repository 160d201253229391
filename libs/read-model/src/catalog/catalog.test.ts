import { describe, expect, it } from 'vitest';
import {
  type Change,
  type ViewEntry,
  abortRebuild,
  beginRebuild,
  firstEntry,
  forgetVersion,
  liveVersion,
  projectedVersions,
  switchVersion,
} from './catalog.ts';

const entryOf = (change: Change): ViewEntry => {
  if (change.kind !== 'changed') throw new Error(`refused: ${change.code}`);
  return change.entry;
};
const numbers = (entry: ViewEntry, nowMs: number): number[] =>
  projectedVersions(entry, nowMs).map(({ version }) => version);

describe('the catalogue of a view', () => {
  it('begins with version 1 live', () => {
    expect(liveVersion(firstEntry('core'))).toMatchObject({ version: 1 });
  });

  it('builds one version at a time', () => {
    const building = entryOf(beginRebuild(firstEntry('core'), 10));
    expect(building).toMatchObject({ revision: 1, lastVersion: 2 });
    expect(beginRebuild(building, 20)).toEqual({ kind: 'refused', code: 'REBUILD_RUNNING', version: 2 });
    expect(liveVersion(building).version).toBe(1);
    expect(numbers(building, 20)).toEqual([1, 2]);
  });

  it('keeps the old version for its grace after a switch, and not longer', () => {
    const switched = entryOf(switchVersion(entryOf(beginRebuild(firstEntry('core'), 10)), 2, 100, 50));
    expect(liveVersion(switched).version).toBe(2);
    expect(numbers(switched, 149)).toEqual([1, 2]);
    expect(numbers(switched, 150)).toEqual([2]);
    expect(forgetVersion(switched, 1)).toMatchObject({ revision: 3, versions: [{ version: 2 }] });
  });

  it('never gives a number twice, also not that of a version that was given up', () => {
    const given = entryOf(abortRebuild(entryOf(beginRebuild(firstEntry('core'), 10)), 20));
    expect(numbers(given, 20)).toEqual([1]);
    const again = entryOf(beginRebuild(forgetVersion(given, 2), 30));
    expect(again.versions.map(({ version }) => version)).toEqual([1, 3]);
  });

  it('gives no number that the store holds already, whatever the catalogue remembers', () => {
    const begun = beginRebuild(firstEntry('core'), 10, 4);
    expect(begun).toMatchObject({ version: 5, entry: { lastVersion: 5 } });
    expect(beginRebuild(firstEntry('core'), 10, 1)).toMatchObject({ version: 2 });
  });

  it('switches to nothing but the version that is being built', () => {
    const building = entryOf(beginRebuild(firstEntry('core'), 10));
    for (const version of [1, 3]) {
      expect(switchVersion(building, version, 20, 1)).toMatchObject({ code: 'REBUILD_NOT_RUNNING' });
    }
    expect(abortRebuild(firstEntry('core'), 20)).toMatchObject({ code: 'REBUILD_NOT_RUNNING' });
  });
});
