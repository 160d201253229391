/** NATS subjects. Tokens are ids, so building and parsing is concatenation and splitting. */

import type { CommandName } from './commands.ts';
import { type ChannelId, type TeamId, type UserId, partitionOf } from './ids.ts';

/** Who may see an event: the team (`t`), a channel's members (`c_<channelId>`), one user's own devices (`u_<userId>`). */
export type Scope = 't' | `c_${ChannelId}` | `u_${UserId}`;

export const teamScope: Scope = 't';
export const channelScope = (channelId: ChannelId): Scope => `c_${channelId}`;
export const userScope = (userId: UserId): Scope => `u_${userId}`;

/** `cmd.<p>.<team>.<name>`, e.g. `cmd.3.03h5….message.send`. */
export const cmdSubject = (teamId: TeamId, name: CommandName): string =>
  `cmd.${partitionOf(teamId)}.${teamId}.${name}`;

/** `evt.<p>.<team>.<scope>`. */
export const evtSubject = (teamId: TeamId, scope: Scope): string =>
  `evt.${partitionOf(teamId)}.${teamId}.${scope}`;

export type EvtAddress = { readonly partition: number; readonly teamId: TeamId; readonly scope: Scope };

/** Splits an event subject. Answers undefined for anything that is not one. */
export const parseEvtSubject = (subject: string): EvtAddress | undefined => {
  const [root, partition, teamId, scope, rest] = subject.split('.');
  if (root !== 'evt' || !partition || !teamId || !scope || rest !== undefined) return undefined;
  return { partition: Number(partition), teamId: teamId as TeamId, scope: scope as Scope };
};

/** Last-value subject of one user's membership in one team: `mbr.<p>.<team>.<user>`. */
export const mbrSubject = (teamId: TeamId, userId: UserId): string =>
  `mbr.${partitionOf(teamId)}.${teamId}.${userId}`;

/** Last-value subject of how far the membership view of a partition reaches: `mbr.<p>.pos`, see `MembersPosition`. */
export const mbrPositionSubject = (partition: number): string => `mbr.${partition}.pos`;

/** Every event of a team, as the writer appends it; without the stream's guarantees: some may come twice, or not at all. */
export const teamEventsSubject = (teamId: TeamId): string => `evt.${partitionOf(teamId)}.${teamId}.*`;

/** On which the apis tell each other how many requests of whom they took. */
export const apiRequestsSubject = 'api.requests';

/** Request subject answered by the partition's owner: `writer.<p>.outcome`, see `OutcomeRequest`. */
export const outcomeSubject = (partition: number): string => `writer.${partition}.outcome`;

/**
 * Request subjects for operators, answered by any projector: `chat.ops.<name>`, e.g. `nats req chat.ops.views ''`. Request
 * and answer are JSON objects; a refusal is `{"error": {"code", "message", "retryable"}}`.
 */
export const opsSubject = (name: string): string => `chat.ops.${name}`;
