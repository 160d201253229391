/** Valid event histories for tests, numbered and ordered as the writer does (see @chat/contracts/events). */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { EventData, EventElement, EventType } from '@chat/contracts/events';
import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import { type Scope, channelScope, teamScope, userScope } from '@chat/contracts/subjects';
import type { ReadEvent } from '../port.ts';

export const uuidOf = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

type Extra = { channelId?: ChannelId; channelSeq?: number; actor?: UserId; commandId?: CommandId };

export class HistoryBuilder {
  readonly events: ReadEvent[] = [];
  readonly #channelSeqs = new Map<string, number>();
  #commands = 0;

  #add<T extends EventType>(teamId: TeamId, scope: Scope, type: T, data: EventData[T], extra: Extra): number {
    const seq = this.events.length + 1;
    const event = {
      seq,
      type,
      v: 1,
      at: 1_700_000_000_000 + seq,
      ...(extra.channelId === undefined ? {} : { channelId: extra.channelId }),
      ...(extra.channelSeq === undefined ? {} : { channelSeq: extra.channelSeq }),
      commandId: extra.commandId ?? (uuidOf(0xc0000 + this.#commands++) as CommandId),
      hash: 'AAAAAAAAAAAAAAAA',
      actor: extra.actor ?? ('system' as UserId),
      data,
    } as EventElement;
    this.events.push({ teamId, scope, event });
    return seq;
  }

  createTeam(teamId: TeamId, owner: UserId, name: string): void {
    this.#add(teamId, teamScope, 'team.created', { name }, { actor: owner });
    this.addTeamMember(teamId, owner, 'owner', name);
  }

  addTeamMember(teamId: TeamId, userId: UserId, role: Role, teamName = 'team'): void {
    this.#add(teamId, userScope(userId), 'team.member_added', { userId, role, teamName }, {});
    this.#add(teamId, teamScope, 'team.member_added', { userId, role, teamName }, {});
  }

  removeTeamMember(teamId: TeamId, userId: UserId): void {
    this.#add(teamId, userScope(userId), 'team.member_removed', { userId }, {});
    this.#add(teamId, teamScope, 'team.member_removed', { userId }, {});
  }

  createChannel(
    teamId: TeamId,
    channelId: ChannelId,
    kind: ChannelKind,
    name: string | undefined,
    members: readonly UserId[],
  ): void {
    const data = { kind, ...(name === undefined ? {} : { name }) };
    const extra = { channelId, commandId: channelId as string as CommandId };
    if (kind === 'public') this.#add(teamId, teamScope, 'channel.created', data, extra);
    for (const userId of members) this.join(teamId, channelId, userId, 'admin', kind, name);
    if (kind !== 'public') this.#add(teamId, channelScope(channelId), 'channel.created', data, extra);
  }

  join(
    teamId: TeamId,
    channelId: ChannelId,
    userId: UserId,
    role: Role,
    kind: ChannelKind,
    name?: string,
  ): number {
    const data = { userId, role, kind, ...(name === undefined ? {} : { name }) };
    const seq = this.#add(teamId, userScope(userId), 'member.added', data, { channelId });
    this.#add(teamId, channelScope(channelId), 'member.added', data, { channelId });
    return seq;
  }

  leave(teamId: TeamId, channelId: ChannelId, userId: UserId): void {
    const data = { userId, reason: 'left' } as const;
    this.#add(teamId, userScope(userId), 'member.removed', data, { channelId });
    this.#add(teamId, channelScope(channelId), 'member.removed', data, { channelId });
  }

  say(teamId: TeamId, channelId: ChannelId, actor: UserId, text: string): number {
    const channelSeq = this.lastChannelSeq(channelId) + 1;
    this.#channelSeqs.set(channelId, channelSeq);
    return this.#add(
      teamId,
      channelScope(channelId),
      'message.sent',
      { text },
      { channelId, channelSeq, actor },
    );
  }

  mark(teamId: TeamId, channelId: ChannelId, userId: UserId, upTo: number): void {
    this.#add(teamId, userScope(userId), 'read.marked', { upTo }, { channelId, actor: userId });
  }

  reject(teamId: TeamId, userId: UserId): void {
    const data = { name: 'message.send', code: 'MSG_CHANNEL_NOT_FOUND', message: 'no' } as const;
    this.#add(teamId, userScope(userId), 'command.rejected', data, { actor: userId });
  }

  lastChannelSeq(channelId: ChannelId): number {
    return this.#channelSeqs.get(channelId) ?? 0;
  }
}
