/** Reads the write state of teams that are not cached. On the commit connection: it sees everything committed. */

import type { TeamId } from '@chat/contracts/ids';
import type { Statement } from '../postgres/session.ts';
import { type TeamCache, type TeamRow, teamFromRow } from './team-cache.ts';

export const loadTeams = async (
  query: <Row>(statement: Statement) => Promise<Row[]>,
  teams: TeamCache,
  missing: ReadonlySet<TeamId>,
): Promise<void> => {
  if (missing.size === 0) return;
  const rows = await query<TeamRow>({
    name: 'load_teams',
    text: 'SELECT * FROM load_teams($1::text[])',
    values: [[...missing]],
  });
  for (const row of rows) teams.put(teamFromRow(row));
};
