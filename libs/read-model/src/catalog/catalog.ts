/**
 * Which versions of each view there are. A view is what one kind of question is answered from; it has versions, so that a
 * new one can be built beside the one that answers. The catalogue stands in the read store itself.
 *
 * States of a version: building → live → retired → (gone). Given up while it is built: building → retired.
 * - building: projected from event 1 on, asked by nobody.
 * - live: answers. Exactly one of a view, always.
 * - retired: still projected until `dropAfterMs` (who has not seen the switch yet reads from it what is as new), then dropped.
 *
 * Every change is a compare-and-swap on the view's revision: of two at once one finds the other's change, and decides anew.
 * All times are of the store's clock. A number is never given twice, so that a name in the store means one version for ever.
 */

export const viewNames = ['core', 'search'] as const;
export type ViewName = (typeof viewNames)[number];

export type ViewVersion = {
  readonly version: number;
  readonly state: 'building' | 'live' | 'retired';
  readonly begunAtMs: number;
  readonly switchedAtMs?: number;
  /** Of a retired one: nobody reads it any more, it is dropped. */
  readonly dropAfterMs?: number;
};

export type ViewEntry = {
  readonly view: ViewName;
  /** 0: nothing is written down yet. */
  readonly revision: number;
  readonly lastVersion: number;
  /** Ascending. */
  readonly versions: readonly ViewVersion[];
};

export type Catalog = {
  /** The store's clock; 0 while the store has no catalogue. */
  readonly nowMs: number;
  readonly entries: Readonly<Record<ViewName, ViewEntry>>;
};

export type CatalogStore = {
  /** Makes what is missing; may be run again, and by several at once. */
  prepare(): Promise<void>;
  /** A store without a catalogue answers the first: version 1 of every view is live. */
  read(): Promise<Catalog>;
  /** Replaces the entry of that view whose revision is `entry.revision − 1`. False: it has another one by now. */
  swap(entry: ViewEntry): Promise<boolean>;
};

export const firstEntry = (view: ViewName): ViewEntry => ({
  view,
  revision: 0,
  lastVersion: 1,
  versions: [{ version: 1, state: 'live', begunAtMs: 0 }],
});

export const catalogOf = (nowMs: number, found: readonly ViewEntry[]): Catalog => {
  const byView = new Map(found.map((entry) => [entry.view, entry]));
  const entryOf = (view: ViewName): ViewEntry => byView.get(view) ?? firstEntry(view);
  return { nowMs, entries: { core: entryOf('core'), search: entryOf('search') } };
};

export const liveVersion = ({ view, versions }: ViewEntry): ViewVersion => {
  const live = versions.find(({ state }) => state === 'live');
  if (!live) throw new Error(`the catalogue names no live version of ${view}`);
  return live;
};

export const buildingVersion = ({ versions }: ViewEntry): ViewVersion | undefined =>
  versions.find(({ state }) => state === 'building');

/** Retired, and past its grace: to be dropped. */
export const isDue = ({ state, dropAfterMs = Infinity }: ViewVersion, nowMs: number): boolean =>
  state === 'retired' && nowMs >= dropAfterMs;

/** What may still be read, hence is projected. */
export const projectedVersions = (entry: ViewEntry, nowMs: number): readonly ViewVersion[] =>
  entry.versions.filter((version) => !isDue(version, nowMs));

export type Change =
  | { readonly kind: 'changed'; readonly entry: ViewEntry; readonly version: number }
  | {
      readonly kind: 'refused';
      readonly code: 'REBUILD_RUNNING' | 'REBUILD_NOT_RUNNING';
      readonly version?: number;
    };

const withVersions = (entry: ViewEntry, versions: readonly ViewVersion[]): ViewEntry => ({
  ...entry,
  revision: entry.revision + 1,
  versions,
});

/**
 * Begins to build the next version. `heldMax`: the greatest one that the store holds. It is greater than any that was given where the
 * catalogue is older than the store (lost, or restored by itself): what is left of it must not be taken for the new one.
 */
export const beginRebuild = (entry: ViewEntry, nowMs: number, heldMax = 0): Change => {
  const building = buildingVersion(entry);
  if (building) return { kind: 'refused', code: 'REBUILD_RUNNING', version: building.version };
  const version = Math.max(entry.lastVersion, heldMax) + 1;
  const begun: ViewVersion = { version, state: 'building', begunAtMs: nowMs };
  const next = withVersions(entry, [...entry.versions, begun]);
  return { kind: 'changed', version, entry: { ...next, lastVersion: version } };
};

/** What is built becomes live, what was live is retired. */
export const switchVersion = (entry: ViewEntry, version: number, nowMs: number, graceMs: number): Change => {
  if (buildingVersion(entry)?.version !== version) return { kind: 'refused', code: 'REBUILD_NOT_RUNNING' };
  const versions = entry.versions.map((one): ViewVersion => {
    if (one.version === version) return { ...one, state: 'live', switchedAtMs: nowMs };
    return one.state === 'live' ? { ...one, state: 'retired', dropAfterMs: nowMs + graceMs } : one;
  });
  return { kind: 'changed', version, entry: withVersions(entry, versions) };
};

/** Gives up what is being built; nobody reads it, so it has no grace. */
export const abortRebuild = (entry: ViewEntry, nowMs: number): Change => {
  const building = buildingVersion(entry);
  if (!building) return { kind: 'refused', code: 'REBUILD_NOT_RUNNING' };
  const versions = entry.versions.map((one): ViewVersion =>
    one === building ? { ...one, state: 'retired', dropAfterMs: nowMs } : one,
  );
  return { kind: 'changed', version: building.version, entry: withVersions(entry, versions) };
};

/** After it was dropped. */
export const forgetVersion = (entry: ViewEntry, version: number): ViewEntry =>
  withVersions(
    entry,
    entry.versions.filter((one) => one.version !== version),
  );

/** Reads, decides and swaps until it is not overtaken; a refusal is the last word. */
export const changeCatalog = async (
  store: CatalogStore,
  view: ViewName,
  decide: (entry: ViewEntry, nowMs: number) => Change,
): Promise<Change> => {
  for (;;) {
    const { entries, nowMs } = await store.read();
    const change = decide(entries[view], nowMs);
    if (change.kind === 'refused' || (await store.swap(change.entry))) return change;
  }
};
