/**
 * What runs for one partition that is ours: a projector for each version that may be read or is being built, and one
 * members publisher, which follows whichever version of core is live.
 *
 * States: open → closed. Changes are made one after another (`follow`, `close`); a closed one changes no more.
 *
 * The publisher changes hands in this order: the old one publishes what it has noted and ends; a new one begins, over the
 * new version, from the position that it finds in the stream. What the new version applied meanwhile is behind its
 * checkpoint, so the publisher's recovery finds it: nothing needs to be handed over.
 */

import type { CheckResult } from '@chat/platform/health';
import type { ViewVersion } from '@chat/read-model/catalog/catalog';
import type { OpenVersion, VersionId } from '@chat/read-model/catalog/view-store';
import type { ReadModel } from '@chat/read-model/port';
import type { MembersPublisher } from '../membership/members-publisher.ts';
import type { PartitionProjector, PartitionState } from '../partition/partition-projector.ts';
import type { OpenProjection } from '../projector-metrics.ts';

export type DesiredVersion = VersionId & { readonly stage: ViewVersion['state']; readonly open: OpenVersion };

export type PartitionViewsDeps = {
  readonly partition: number;
  /** Neither is started. `isBuilding` changes with a switch. */
  readonly makeProjector: (version: DesiredVersion, isBuilding: () => boolean) => PartitionProjector;
  readonly makeMembers: (core: ReadModel) => MembersPublisher;
};

export type PartitionViews = {
  /** From now on these run, and no others. */
  follow(desired: readonly DesiredVersion[]): Promise<void>;
  /** Resolves when nothing of the partition runs any more: what is being applied is finished, then its memberships are published. */
  close(): Promise<void>;
  projections(): readonly OpenProjection[];
  check(): CheckResult;
};

type Running = DesiredVersion & { readonly projector: PartitionProjector };
type Publishing = { readonly version: number; readonly members: MembersPublisher };

const keyOf = ({ view, version }: VersionId): string => `${view}-${version}`;

export const createPartitionViews = (deps: PartitionViewsDeps): PartitionViews => {
  const { partition } = deps;
  const running = new Map<string, Running>();
  let publishing: Publishing | undefined;
  let isClosed = false;
  let turn: Promise<void> = Promise.resolve();
  /** One change at a time; a fault of one is its caller's alone. */
  const inTurn = (change: () => Promise<void>): Promise<void> => {
    const done = turn.then(change);
    turn = done.catch(() => undefined);
    return done;
  };

  const liveCore = (): Running | undefined =>
    [...running.values()].find(({ view, stage }) => view === 'core' && stage === 'live');

  const publishFromLive = async (): Promise<void> => {
    const live = liveCore();
    if (live?.version === publishing?.version) return;
    await endPublishing();
    if (!live?.open.core) return;
    const members = deps.makeMembers(live.open.core);
    await members.start();
    publishing = { version: live.version, members };
    live.projector.publishTo(members);
  };

  const endPublishing = async (): Promise<void> => {
    if (!publishing) return;
    const { version, members } = publishing;
    publishing = undefined;
    running.get(keyOf({ view: 'core', version }))?.projector.publishTo(undefined);
    await members.stop();
  };

  const change = async (desired: readonly DesiredVersion[]): Promise<void> => {
    const wanted = new Map(desired.map((version) => [keyOf(version), version]));
    for (const [key, version] of wanted) {
      const found = running.get(key);
      const isBuilding = (): boolean => running.get(key)?.stage === 'building';
      const projector = found?.projector ?? deps.makeProjector(version, isBuilding);
      running.set(key, { ...version, projector });
      if (!found) await projector.start();
    }
    await publishFromLive();
    for (const [key, { projector }] of running) {
      if (wanted.has(key)) continue;
      await projector.stop();
      running.delete(key);
    }
  };

  return {
    follow: (desired) => inTurn(async () => (isClosed ? undefined : change(desired))),
    close: () =>
      inTurn(async () => {
        isClosed = true;
        await Promise.all([...running.values()].map(({ projector }) => projector.stop()));
        await endPublishing();
        running.clear();
      }),
    projections: () => [...running.values()].map((one) => ({ ...one, partition })),
    check: () => {
      const live = liveCore();
      if (!live) return { ok: false, reason: 'starting' };
      const others = [...running.values()].filter((one) => one !== live && one.stage === 'live');
      return checkOf(live.projector.state(), publishing?.members.trouble(), others);
    },
  };
};

/** Where core stands; the trouble of another view that answers is told too, with the view's name. */
const checkOf = (
  core: PartitionState,
  trouble: string | undefined,
  others: readonly Running[],
): CheckResult => {
  const { ok, reason, ...where } = core;
  const otherTrouble = others.flatMap(({ view, projector }) => {
    const state = projector.state();
    return state.ok ? [] : [`${view}: ${state.reason ?? state.state}`];
  });
  const why = reason ?? trouble ?? otherTrouble[0];
  const shown = { ...where, ...(why === undefined ? {} : { reason: why }) };
  return ok && trouble === undefined && otherTrouble.length === 0
    ? { ok: true, ...shown }
    : { ok: false, ...shown, reason: why ?? where.state };
};
