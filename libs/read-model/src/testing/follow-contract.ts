/** What a process that answers from a view may rely on while versions come and go, over real servers. */

import { partitionOf, type UserId } from '@chat/contracts/ids';
import { createLogger } from '@chat/platform/log';
import { createMetrics } from '@chat/platform/metrics';
import { expect, it, vi } from 'vitest';
import { beginRebuild, changeCatalog, switchVersion } from '../catalog/catalog.ts';
import { type LiveView, VIEW_GRACE_MIN_MS, followLive } from '../catalog/follow-live.ts';
import type { VersionId } from '../catalog/view-store.ts';
import { type ReadStore, openReadStore } from '../open-read-store.ts';
import type { ReadModel } from '../port.ts';
import { teams } from './arbitrary-history.ts';
import { batchOf } from './contract.ts';
import { HistoryBuilder } from './history-builder.ts';

const log = createLogger({ app: 'test', instance: 'follow', level: 'silent' });
const team = teams[0]!;
const partition = partitionOf(team);
const ann = 'ann' as UserId;
const first: VersionId = { view: 'core', version: 1 };
const second: VersionId = { view: 'core', version: 2 };
/** Nothing looks by itself. */
const NEVER_MS = 600_000;

type Server = { readonly kind: 'postgres' | 'mongodb'; readonly url: string };

const history = (): HistoryBuilder => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  for (let n = 0; n < 5; n += 1) builder.addTeamMember(team, `user${n}` as UserId, 'member');
  return builder;
};

export const itFollowsTheLiveVersion = (name: string, server: () => Server): void => {
  const withStore = async (
    intervalMs: number,
    use: (store: ReadStore, core: LiveView<ReadModel>) => Promise<void>,
  ): Promise<void> => {
    const options = { maxCount: 2, name: 'test-follow', timeoutMs: 5_000, metrics: createMetrics(), log };
    const store = openReadStore({ ...server(), ...options });
    const core = followLive({ store, view: 'core', portOf: (open) => open.core, intervalMs, log });
    try {
      await store.catalog.prepare();
      for (const id of [first, second]) await store.prepareVersion(id);
      await use(store, core);
    } finally {
      await core.stop();
      await store.close();
    }
  };
  const apply = async (store: ReadStore, id: VersionId, from: number, to: number): Promise<void> => {
    const { kind } = await store.open(id).target.applyBatch(batchOf(history().events, from, to));
    expect(kind).toBe('applied');
  };
  const switchToSecond = async (store: ReadStore, graceMs = VIEW_GRACE_MIN_MS): Promise<void> => {
    await changeCatalog(store.catalog, 'core', beginRebuild);
    await changeCatalog(store.catalog, 'core', (entry, nowMs) => switchVersion(entry, 2, nowMs, graceMs));
  };
  const seqOf = async (core: LiveView<ReadModel>): Promise<number> =>
    (await core.port.checkpoint(partition))?.seq ?? 0;

  it(`${name}: no answer after a switch is older than one before it; questions wait meanwhile`, () =>
    withStore(20, async (store, core) => {
      const all = history().events.length;
      await apply(store, first, 0, all);
      await apply(store, second, 0, all - 4);
      await core.start();
      expect(await seqOf(core)).toBe(all);
      const seqs: number[] = [];
      let isOver = false;
      const asking = (async () => {
        while (!isOver) {
          const answer = await core.port.membership(team, ann);
          seqs.push(await seqOf(core), answer?.asOf ?? 0);
        }
      })();
      await switchToSecond(store, 60_000);
      await apply(store, second, all - 4, all - 2);
      await apply(store, second, all - 2, all);
      await vi.waitFor(() => expect(core.version()).toBe(2), { timeout: 30_000, interval: 5 });
      isOver = true;
      await asking;
      expect(await seqOf(core)).toBe(all);
      expect(new Set(seqs)).toEqual(new Set([all]));
    }));

  it(`${name}: a version that does not catch up is taken only when the old one is about to go`, () =>
    withStore(20, async (store, core) => {
      const all = history().events.length;
      await apply(store, first, 0, all);
      await apply(store, second, 0, all - 4);
      await core.start();
      expect(await seqOf(core)).toBe(all);
      await switchToSecond(store);
      await vi.waitFor(() => expect(core.version()).toBe(2), { timeout: 30_000, interval: 5 });
      expect(await seqOf(core)).toBe(all - 4);
    }));

  it(`${name}: who did not see the switch asks the live version, not what was dropped`, () =>
    withStore(NEVER_MS, async (store, core) => {
      const all = history().events.length;
      await apply(store, first, 0, all);
      await apply(store, second, 0, all);
      expect(await core.port.membership(team, ann)).toMatchObject({ role: 'owner', asOf: all });
      expect(core.version()).toBe(1);
      await switchToSecond(store);
      // As long as a version is kept at least: what was known of the catalogue is too old by now.
      await new Promise((resolve) => setTimeout(resolve, VIEW_GRACE_MIN_MS));
      await store.dropVersion(first);
      expect(await core.port.membership(team, ann)).toMatchObject({ role: 'owner', asOf: all });
      expect(core.version()).toBe(2);
    }));
};
