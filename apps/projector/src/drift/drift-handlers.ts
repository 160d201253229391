/**
 * `drift` and `drift.repair`: `nats req chat.ops.drift '{"partition":3}' --timeout 60s`. Input: `view` (core), `version`
 * (the live one without it), `partition` or `team` (all partitions without them), `depth` (`rows` or `counts`).
 *
 * One at a time in a process: a check reads a whole partition.
 */

import { type TeamId, parseTeamId, partitionOf } from '@chat/contracts/ids';
import type { DriftDepth } from '@chat/read-model/drift/check';
import type { DriftScope } from '@chat/read-model/drift/port';
import {
  type OpsAnswer,
  type OpsHandlers,
  type OpsInput,
  answered,
  invalid,
  refused,
} from '../ops/ops-handler.ts';
import type { CheckedPart, DriftRunner } from './drift-runner.ts';

/** Of one answer, which is one NATS message; the totals are complete. */
const NAMED_MAX_COUNT = 300;

export type DriftHandlersDeps = { readonly partitionCount: number; readonly runner: DriftRunner };

type Asked = {
  readonly version: number | undefined;
  readonly scopes: readonly DriftScope[];
  readonly depth: DriftDepth;
};

export const createDriftHandlers = ({ partitionCount, runner }: DriftHandlersDeps): OpsHandlers => {
  let isRunning = false;

  const alone = async (input: OpsInput, run: (asked: Asked) => Promise<object>): Promise<OpsAnswer> => {
    const asked = parse(input, partitionCount);
    if (typeof asked === 'string') return invalid(asked);
    if (isRunning) return refused('DRIFT_RUNNING', 'This process compares already; ask again later.', true);
    isRunning = true;
    try {
      return answered(await run(asked));
    } finally {
      isRunning = false;
    }
  };

  const check = (input: OpsInput, signal: AbortSignal): Promise<OpsAnswer> =>
    alone(input, async ({ version: wanted, scopes, depth }) => {
      const version = wanted ?? (await runner.liveVersion());
      const parts: CheckedPart[] = [];
      for (const scope of scopes) parts.push(await runner.check(version, scope, depth, signal));
      return { view: 'core', version, driftCount: sumOf(parts), partitions: shortened(parts) };
    });

  const repair = (input: OpsInput, signal: AbortSignal): Promise<OpsAnswer> =>
    alone(input, async ({ version: wanted, scopes }) => {
      const version = wanted ?? (await runner.liveVersion());
      const partitions = [];
      for (const scope of scopes) partitions.push(await runner.repair(version, scope, signal));
      const after = shortened(partitions.map((part) => part.after));
      return {
        view: 'core',
        version,
        foundCount: partitions.reduce((sum, { foundCount }) => sum + foundCount, 0),
        driftCount: sumOf(partitions.map((part) => part.after)),
        partitions: partitions.map((part, at) => ({ ...part, after: after[at] })),
      };
    });

  return {
    drift: {
      help: 'compares the core read model with event_log (--partition, --team, --version, --depth counts; --repair)',
      run: (input, signal) => (input['repair'] === true ? repair(input, signal) : check(input, signal)),
    },
    'drift.repair': { help: 'puts right what drift finds, from event_log', run: repair },
  };
};

const sumOf = (parts: readonly CheckedPart[]): number =>
  parts.reduce(
    (sum, part) =>
      sum + (part.kind === 'checked' ? part.driftCount : 0) + (part.memberViews?.driftCount ?? 0),
    0,
  );

const shortened = (parts: readonly CheckedPart[]): readonly CheckedPart[] => {
  let left = NAMED_MAX_COUNT;
  return parts.map((part) => {
    if (part.kind !== 'checked') return part;
    const drifts = part.drifts.slice(0, left);
    left -= drifts.length;
    return { ...part, drifts, isTruncated: part.isTruncated || drifts.length < part.drifts.length };
  });
};

const names = new Set(['view', 'version', 'partition', 'team', 'depth', 'repair']);

/** A sentence: it is not understood. */
const parse = (input: OpsInput, partitionCount: number): Asked | string => {
  const { view = 'core', version, partition, team, depth = 'rows', repair = false } = input;
  const unknown = Object.keys(input).find((name) => !names.has(name));
  if (unknown !== undefined) return `${unknown} is not known; there are ${[...names].join(', ')}`;
  if (view !== 'core') return 'view must be core';
  if (typeof repair !== 'boolean') return 'repair must be true or false';
  if (depth !== 'rows' && depth !== 'counts') return 'depth must be rows or counts';
  if (version !== undefined && !(Number.isInteger(version) && Number(version) > 0))
    return 'version must be a number of a version';
  const scopes = scopesOf(partition, team, partitionCount);
  return typeof scopes === 'string' ? scopes : { version: version as number | undefined, scopes, depth };
};

const scopesOf = (
  partition: unknown,
  team: unknown,
  partitionCount: number,
): readonly DriftScope[] | string => {
  const isPartition = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) < partitionCount;
  if (partition !== undefined && !isPartition(partition))
    return `partition must be a number from 0 to ${partitionCount - 1}`;
  if (team === undefined) {
    if (partition !== undefined) return [{ partition }];
    return Array.from({ length: partitionCount }, (_, at) => ({ partition: at }));
  }
  const teamId: TeamId | undefined = parseTeamId(team);
  if (!teamId || !isPartition(partitionOf(teamId))) return 'team must be the id of a team';
  const own = partitionOf(teamId);
  if (partition !== undefined && partition !== own) return `the team lives in partition ${own}`;
  return [{ partition: own, teamId }];
};
