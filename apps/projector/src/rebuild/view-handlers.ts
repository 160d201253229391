/**
 * `views`: what versions there are and how far each is. `rebuild`, `rebuild.status`, `rebuild.abort`: see
 * rebuild-controller.ts for who carries a rebuild on once it is begun.
 */

import {
  type Change,
  type ViewName,
  abortRebuild,
  beginRebuild,
  buildingVersion,
  changeCatalog,
  liveVersion,
} from '@chat/read-model/catalog/catalog';
import {
  type OpsAnswer,
  type OpsHandlers,
  type OpsInput,
  answered,
  invalid,
  refused,
} from '../ops/ops-handler.ts';
import type { OpsHandlersDeps } from '../ops/ops-handlers.ts';
import { type Totals, headsOf, progressOf, totalsOf } from './progress.ts';

export const createViewHandlers = (deps: OpsHandlersDeps): OpsHandlers => {
  const { store } = deps;
  const progressDeps = { partitionCount: deps.config.PARTITIONS, nats: deps.nats, store };

  const viewOf = (input: OpsInput): ViewName | undefined =>
    store.views.find((view) => view === input['view']);
  const withView = (input: OpsInput, run: (view: ViewName) => Promise<OpsAnswer>): Promise<OpsAnswer> => {
    const view = viewOf(input);
    return view === undefined
      ? Promise.resolve(invalid(`view must be one of ${store.views.join(', ')}`))
      : run(view);
  };

  const answerOf = (view: ViewName, change: Change): OpsAnswer => {
    if (change.kind === 'changed') return answered({ view, version: change.version });
    return change.code === 'REBUILD_RUNNING'
      ? refused(change.code, `Version ${change.version ?? '?'} of ${view} is being built already.`)
      : refused(change.code, `No version of ${view} is being built.`);
  };

  const begin = async (view: ViewName): Promise<OpsAnswer> => {
    await store.catalog.prepare();
    const held = (await store.listVersions()).filter((id) => id.view === view);
    const heldMax = Math.max(0, ...held.map(({ version }) => version));
    const change = await changeCatalog(store.catalog, view, (entry, nowMs) =>
      beginRebuild(entry, nowMs, heldMax),
    );
    return answerOf(view, change);
  };

  const describe = async (views: readonly ViewName[]): Promise<OpsAnswer> => {
    const { entries, nowMs } = await store.catalog.read();
    const heads = await headsOf(progressDeps);
    const described = views.map(async (view) => ({
      view,
      revision: entries[view].revision,
      versions: await Promise.all(
        entries[view].versions.map(async (one) => {
          const progress = await progressOf(progressDeps, { view, version: one.version }, heads);
          return { ...one, ...totalsOf(progress) };
        }),
      ),
    }));
    return answered({ nowMs, views: await Promise.all(described) });
  };

  const status = async (view: ViewName): Promise<OpsAnswer> => {
    const { entries, nowMs } = await store.catalog.read();
    const entry = entries[view];
    const live = liveVersion(entry).version;
    const building = buildingVersion(entry);
    if (!building) return answered({ view, live });
    const { version, begunAtMs } = building;
    const partitions = await progressOf(progressDeps, { view, version }, await headsOf(progressDeps));
    const totals = totalsOf(partitions);
    const estimate = estimateOf(totals, nowMs - begunAtMs);
    return answered({ view, live, building: version, begunAtMs, nowMs, ...totals, ...estimate, partitions });
  };

  return {
    views: {
      help: 'the versions of every view and how far each is',
      run: () => describe(store.views),
    },
    rebuild: {
      help: 'builds the next version of a view beside the live one; the projectors switch to it when it has caught up',
      args: ['view'],
      run: (input) => withView(input, begin),
    },
    'rebuild.status': {
      help: 'how far the version is that is being built',
      args: ['view'],
      run: (input) => withView(input, status),
    },
    'rebuild.abort': {
      help: 'gives up the version that is being built; the live one stays',
      args: ['view'],
      run: (input) =>
        withView(input, async (view) =>
          answerOf(view, await changeCatalog(store.catalog, view, abortRebuild)),
        ),
    },
  };
};

/** By the average since it was begun. */
const estimateOf = ({ appliedCount, headCount }: Totals, elapsedMs: number): object => {
  if (appliedCount === 0 || elapsedMs <= 0) return {};
  const ratePerS = (appliedCount * 1_000) / elapsedMs;
  const leftMs = Math.ceil(((headCount - appliedCount) * 1_000) / ratePerS);
  return { ratePerS: Math.round(ratePerS), estimatedLeftMs: leftMs };
};
