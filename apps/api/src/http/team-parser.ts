import { type TeamId, parseTeamId, partitionOf } from '@chat/contracts/ids';

/** Undefined for what is no team id, or one of a partition that does not exist here: such a team was never made. */
export type TeamParser = (value: unknown) => TeamId | undefined;

export const createTeamParser =
  (partitionCount: number): TeamParser =>
  (value) => {
    const teamId = parseTeamId(value);
    return teamId !== undefined && partitionOf(teamId) < partitionCount ? teamId : undefined;
  };
