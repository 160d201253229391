/** First outcomes of commands by id, from the table that remembers every decided command for ever. */

import { isErrorCode } from '@chat/contracts/errors';
import type { CommandId, TeamId, UserId } from '@chat/contracts/ids';
import { type Outcome, outcomeKey } from '../batch/batch-plan.ts';
import type { Statement } from '../postgres/session.ts';

export type OutcomeKey = { readonly teamId: TeamId; readonly commandId: CommandId };

type OutcomeRow = {
  readonly team_id: string;
  readonly command_id: string;
  readonly actor: string;
  readonly hash: string;
  readonly event_id: string;
  readonly cmd_seq: string;
  readonly code: string | null;
  readonly payload: string | null;
};

const text = `
SELECT c.team_id, c.command_id, c.actor, c.hash, c.event_id, c.cmd_seq, c.code, e.payload
FROM unnest($1::text[], $2::uuid[]) AS k (team_id, command_id)
JOIN command c ON c.team_id = k.team_id AND c.command_id = k.command_id
LEFT JOIN event_log e ON e.p = c.p AND e.id = c.event_id`;

export const lookupOutcomes = async (
  query: <Row>(statement: Statement) => Promise<Row[]>,
  keys: readonly OutcomeKey[],
): Promise<readonly Outcome[]> => {
  const rows = await query<OutcomeRow>({
    name: 'lookup_outcomes',
    text,
    values: [keys.map((key) => key.teamId), keys.map((key) => key.commandId)],
  });
  return rows.map((row): Outcome => ({
    key: outcomeKey(row.team_id as TeamId, row.command_id as CommandId),
    teamId: row.team_id as TeamId,
    commandId: row.command_id as CommandId,
    actor: row.actor as UserId,
    hash: row.hash,
    seq: Number(row.event_id),
    cmdSeq: Number(row.cmd_seq),
    code: row.code === null ? undefined : isErrorCode(row.code) ? row.code : 'INTERNAL',
    payload: row.payload ?? undefined,
  }));
};
