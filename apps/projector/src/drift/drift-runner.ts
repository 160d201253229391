/** One partition (or team) of a version of core compared with event_log, and put right if that is wanted. */

import type { NatsHandle } from '@chat/platform/nats/connect';
import type { ViewStore } from '@chat/read-model/catalog/view-store';
import { liveVersion } from '@chat/read-model/catalog/catalog';
import {
  type DriftChecked,
  type DriftDepth,
  type DriftReport,
  checkDrift,
} from '@chat/read-model/drift/check';
import type { DriftScope } from '@chat/read-model/drift/port';
import { type RepairReport, repairDrift } from '@chat/read-model/drift/repair';
import { createMembersStore } from '../membership/members-store.ts';
import type { EventLog } from '../partition/event-log.ts';
import { createDriftLog } from './drift-log.ts';
import type { DriftMetrics } from './drift-metrics.ts';
import { type MemberViewsReport, createMemberViews } from './member-views.ts';

export type DriftRunnerDeps = {
  readonly nats: Pick<NatsHandle, 'js' | 'jsm'>;
  readonly store: ViewStore;
  readonly eventLog: EventLog;
  /** Undefined: nobody scrapes this process. */
  readonly metrics?: DriftMetrics | undefined;
};

export type CheckedPart = DriftReport & { readonly memberViews?: MemberViewsReport };
export type RepairedPart = Omit<RepairReport, 'members' | 'after'> & {
  /** Values in MEMBERS that were published again. */
  readonly memberViewCount: number;
  readonly after: CheckedPart;
};

export type DriftRunner = {
  liveVersion(): Promise<number>;
  check(version: number, scope: DriftScope, depth: DriftDepth, signal: AbortSignal): Promise<CheckedPart>;
  repair(version: number, scope: DriftScope, signal: AbortSignal): Promise<RepairedPart>;
};

export const createDriftRunner = ({ nats, store, eventLog, metrics }: DriftRunnerDeps): DriftRunner => {
  const log = createDriftLog(eventLog);
  const views = createMemberViews(nats.jsm, createMembersStore(nats));
  const live = async (): Promise<number> => liveVersion((await store.catalog.read()).entries.core).version;
  const depsOf = (version: number) => ({ store: store.openDrift({ view: 'core', version }), log });

  /** MEMBERS is made from the live version only. */
  const withViews = async (version: number, checked: DriftChecked, signal: AbortSignal) => {
    const { report, expected } = checked;
    const isLive = report.kind === 'checked' && version === (await live());
    const found = isLive ? await views.check(expected, report.epoch, signal) : undefined;
    if (isLive && expected.scope.teamId === undefined)
      metrics?.checked(report, found?.driftCount ?? 0, Date.now());
    const { wrong = [], ...memberViews } = found ?? {};
    return { wrong, part: (found ? { ...report, memberViews } : report) as CheckedPart };
  };

  const check: DriftRunner['check'] = async (version, scope, depth, signal) => {
    const checked = await checkDrift(depsOf(version), scope, depth, signal);
    return (await withViews(version, checked, signal)).part;
  };

  return {
    liveVersion: live,
    check,
    repair: async (version, scope, signal) => {
      const deps = depsOf(version);
      const { after: _, members, ...repaired } = await repairDrift(deps, scope, signal);
      const checked = await checkDrift(deps, scope, 'rows', signal);
      const { wrong } = await withViews(version, checked, signal);
      const core = store.open({ view: 'core', version }).core;
      if (core && version === (await live())) await views.repair([...wrong, ...members], core);
      const after = await check(version, scope, 'rows', signal);
      return { ...repaired, memberViewCount: wrong.length, after };
    },
  };
};
