/**
 * A plan → one call of `commit_batch`. Arrays travel as PostgreSQL array literals that are joined here: ids,
 * scopes and numbers hold nothing that needs quoting, actors are quoted because `NULL` is a possible user id,
 * and payloads go as one text joined by line feeds (JSON holds none), which spares escaping every quote.
 */

import type { BatchPlan, PlanPart } from './batch-plan.ts';

const placeholders = Array.from({ length: 30 }, (_, i) => `$${i + 1}`).join(',');

export const commitBatchStatement = {
  name: 'commit_batch',
  text: `SELECT commit_batch(${placeholders})`,
} as const;

const plain = (values: readonly (string | number)[]): string => `{${values.join(',')}}`;
const quoted = (values: readonly string[]): string =>
  values.length === 0 ? '{}' : `{"${values.join('","')}"}`;
/** For values from outside: a Msg-Id may be anything. */
const escaped = (values: readonly string[]): string =>
  quoted(values.map((value) => value.replaceAll('\u0000', '').replace(/[\\"]/g, '\\$&')));

const column = <T>(parts: readonly PlanPart[], pick: (part: PlanPart) => T): T[] => parts.map(pick);

export const commitBatchValues = (
  plan: BatchPlan,
  owner: string,
  leaseTtlMs: number,
): (string | number | null)[] => {
  const parts = [...plan.parts.values()];
  const { e, c } = plan;
  const heads = headColumns(plan);
  return [
    owner,
    leaseTtlMs,
    plain(column(parts, (part) => part.p)),
    plain(column(parts, (part) => part.ownerEpoch)),
    plain(column(parts, (part) => part.expected)),
    plain(column(parts, (part) => part.next)),
    plain(column(parts, (part) => part.cmdSeq)),
    escaped(column(parts, (part) => part.cmdMark())),
    plain(e.p),
    plain(e.id),
    plain(e.team),
    plain(e.scope),
    plain(e.type),
    plain(e.version),
    plain(e.command),
    plain(e.at),
    e.payload.join('\n'),
    plain(c.p),
    plain(c.team),
    plain(c.command),
    quoted(c.actor),
    plain(c.hash),
    plain(c.event),
    plain(c.seq),
    plain(c.code),
    plain(heads.team),
    plain(heads.channel),
    plain(heads.seq),
    plain(heads.at),
    plan.changes.toJson(),
  ];
};

/** Newest message by channel, as it stands after the batch. */
const headColumns = (plan: BatchPlan): { team: string[]; channel: string[]; seq: number[]; at: number[] } => {
  const team: string[] = [];
  const channel: string[] = [];
  const seq: number[] = [];
  const at: number[] = [];
  for (const [head, teamId] of plan.changes.heads()) {
    team.push(teamId);
    channel.push(head.id);
    seq.push(head.lastChannelSeq);
    at.push(head.lastAtMs);
  }
  return { team, channel, seq, at };
};
