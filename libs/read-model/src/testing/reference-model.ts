/**
 * The plain model that adapters are compared with: it keeps every event and answers each question by reading
 * the history from its beginning. Slow, and obviously right. For tests only.
 */

import type { ChannelKind, Role } from '@chat/contracts/commands';
import type { MembershipView } from '@chat/contracts/events';
import type { ChannelView, MessageView } from '@chat/contracts/http';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import type {
  ChannelList,
  ListRequest,
  MemberList,
  MessagePage,
  PageRequest,
  ReadEvent,
  Refusal,
  TeamList,
  VisibleChannels,
} from '../port.ts';

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The page of `all`, which is in order. */
const listPage = <T, K extends string>(
  all: readonly T[],
  keyOf: (entry: T) => K,
  { after, limitCount }: ListRequest<K>,
) => {
  const left = all.filter((entry) => after === undefined || byText(keyOf(entry), after) > 0);
  return { page: left.slice(0, limitCount), hasMore: left.length > limitCount };
};

type Membership = { readonly role: Role; readonly sinceSeq: number };

export const createReferenceModel = (all: readonly ReadEvent[], epoch: string) => {
  const asOf = all.at(-1)?.event.seq ?? 0;
  const stamp = { epoch, asOf };
  const of = (teamId: TeamId) => all.filter((read) => read.teamId === teamId);

  const teamRole = (teamId: TeamId, userId: UserId): Role | undefined => {
    let role: Role | undefined;
    for (const { event } of of(teamId)) {
      if (event.type === 'team.member_added' && event.data.userId === userId) role = event.data.role;
      if (event.type === 'team.member_removed' && event.data.userId === userId) role = undefined;
    }
    return role;
  };

  const membership = (teamId: TeamId, channelId: ChannelId, userId: UserId): Membership | undefined => {
    let found: Membership | undefined;
    for (const { event, scope } of of(teamId)) {
      if (scope !== `u_${userId}`) continue;
      if (event.type === 'team.member_removed') found = undefined;
      if (event.channelId !== channelId) continue;
      if (event.type === 'member.added') found = { role: event.data.role, sinceSeq: event.seq };
      if (event.type === 'member.removed') found = undefined;
    }
    return found;
  };

  const channelIds = (teamId: TeamId): ChannelId[] => {
    const ids = of(teamId).flatMap(({ event }) => (event.channelId === undefined ? [] : [event.channelId]));
    return [...new Set(ids)].sort(byText);
  };

  const channelInfo = (
    teamId: TeamId,
    channelId: ChannelId,
  ): { kind: ChannelKind; name?: string } | undefined => {
    for (const { event } of of(teamId)) {
      if (event.channelId !== channelId) continue;
      if (event.type === 'channel.created' || event.type === 'member.added') {
        const { kind, name } = event.data;
        return { kind, ...(name === undefined ? {} : { name }) };
      }
    }
    return undefined;
  };

  const messagesIn = (teamId: TeamId, channelId: ChannelId): MessageView[] =>
    of(teamId).flatMap(({ event }) =>
      event.type === 'message.sent' && event.channelId === channelId
        ? [
            {
              id: event.commandId,
              channelId,
              channelSeq: event.channelSeq ?? NaN,
              seq: event.seq,
              actor: event.actor,
              at: event.at,
              text: event.data.text,
            },
          ]
        : [],
    );

  const membersIn = (teamId: TeamId, channelId: ChannelId): { userId: UserId; role: Role }[] => {
    const users = all.flatMap(({ event }) => (event.type === 'member.added' ? [event.data.userId] : []));
    return [...new Set(users)].sort(byText).flatMap((userId) => {
      const role = membership(teamId, channelId, userId)?.role;
      return role === undefined ? [] : [{ userId, role }];
    });
  };

  const readMark = (teamId: TeamId, channelId: ChannelId, userId: UserId, sinceSeq: number) => {
    let mark = { upTo: 0, seq: 0 };
    for (const { event, scope } of of(teamId)) {
      if (event.type !== 'read.marked' || scope !== `u_${userId}` || event.channelId !== channelId) continue;
      if (event.seq > sinceSeq) mark = { upTo: event.data.upTo, seq: event.seq };
    }
    return mark;
  };

  const visibleIn = (
    teamId: TeamId,
    channelId: ChannelId,
    kind: ChannelKind,
    sinceSeq: number,
  ): MessageView[] => messagesIn(teamId, channelId).filter(({ seq }) => kind === 'public' || seq > sinceSeq);

  const channelView = (teamId: TeamId, channelId: ChannelId, userId: UserId): ChannelView[] => {
    const info = channelInfo(teamId, channelId);
    const member = membership(teamId, channelId, userId);
    if (!info || (!member && info.kind !== 'public')) return [];
    const messages = messagesIn(teamId, channelId);
    const mark = member ? readMark(teamId, channelId, userId, member.sinceSeq) : { upTo: 0, seq: 0 };
    const visible = visibleIn(teamId, channelId, info.kind, member?.sinceSeq ?? 0);
    const unread = visible.filter(({ channelSeq, actor }) => channelSeq > mark.upTo && actor !== userId);
    const created = of(teamId).flatMap(({ event }) =>
      event.type === 'channel.created' && event.channelId === channelId ? [event.seq] : [],
    );
    return [
      {
        id: channelId,
        ...info,
        ...(info.kind === 'direct' ? { memberIds: membersIn(teamId, channelId).map((m) => m.userId) } : {}),
        ...(member ? { role: member.role } : {}),
        lastChannelSeq: messages.at(-1)?.channelSeq ?? 0,
        readUpTo: mark.upTo,
        unreadCount: member ? unread.length : 0,
        seq: Math.max(...created, messages.at(-1)?.seq ?? 0, member?.sinceSeq ?? 0, mark.seq),
      },
    ];
  };

  return {
    channels: (teamId: TeamId, userId: UserId, request: ListRequest<ChannelId>): ChannelList | Refusal => {
      if (!teamRole(teamId, userId)) return { kind: 'team_not_found' };
      const all = channelIds(teamId).flatMap((id) => channelView(teamId, id, userId));
      const { page: channels, hasMore } = listPage(all, ({ id }) => id, request);
      return { kind: 'found', ...stamp, channels, hasMore };
    },
    messages: (
      teamId: TeamId,
      channelId: ChannelId,
      userId: UserId,
      { before, after, around, limitCount }: PageRequest,
    ): MessagePage | Refusal => {
      if (!teamRole(teamId, userId)) return { kind: 'team_not_found' };
      const info = channelInfo(teamId, channelId);
      const member = membership(teamId, channelId, userId);
      if (!info || !member) return { kind: 'channel_not_found' };
      const visible = visibleIn(teamId, channelId, info.kind, member.sinceSeq);
      const cut = (from: number, to: number) => {
        const [start, end] = [Math.max(0, from), Math.min(visible.length, Math.max(0, to))];
        const hasMoreAfter = end < visible.length;
        const messages = visible.slice(start, end);
        return { kind: 'found', ...stamp, messages, hasMoreBefore: start > 0, hasMoreAfter } as const;
      };
      const countUpTo = (n: number) => visible.filter(({ channelSeq }) => channelSeq <= n).length;
      if (after !== undefined) return cut(countUpTo(after), countUpTo(after) + limitCount);
      if (around !== undefined) {
        const middle = countUpTo(around);
        return cut(middle - Math.ceil(limitCount / 2), middle + Math.floor(limitCount / 2));
      }
      const end = before === undefined ? visible.length : countUpTo(before - 1);
      return cut(end - limitCount, end);
    },
    members: (
      teamId: TeamId,
      channelId: ChannelId,
      userId: UserId,
      request: ListRequest<UserId>,
    ): MemberList | Refusal => {
      if (!teamRole(teamId, userId)) return { kind: 'team_not_found' };
      if (!membership(teamId, channelId, userId)) return { kind: 'channel_not_found' };
      const { page: members, hasMore } = listPage(membersIn(teamId, channelId), (one) => one.userId, request);
      return { kind: 'found', ...stamp, members, hasMore };
    },
    visibleChannels: (teamId: TeamId, userId: UserId): VisibleChannels | Refusal => {
      if (!teamRole(teamId, userId)) return { kind: 'team_not_found' };
      const channels = channelIds(teamId).flatMap((channelId) => {
        const info = channelInfo(teamId, channelId);
        const member = membership(teamId, channelId, userId);
        if (!info || !member) return [];
        const hidden = messagesIn(teamId, channelId).filter(({ seq }) => seq <= member.sinceSeq);
        return [{ channelId, visibleAfter: info.kind === 'public' ? 0 : hidden.length }];
      });
      return { kind: 'found', ...stamp, channels };
    },
    membership: (teamId: TeamId, userId: UserId): MembershipView => {
      const role = teamRole(teamId, userId);
      const channels = channelIds(teamId).flatMap((id) => {
        const member = membership(teamId, id, userId);
        return member ? [{ id, sinceSeq: member.sinceSeq, role: member.role }] : [];
      });
      return { asOf, epoch, ...(role === undefined ? {} : { role }), channels };
    },
    teamsOf: (userId: UserId, request: ListRequest<TeamId>): TeamList => {
      const named = all.flatMap(({ teamId, event }) =>
        event.type === 'team.created' ? [{ id: teamId, name: event.data.name }] : [],
      );
      const mine = named
        .flatMap((team) => {
          const role = teamRole(team.id, userId);
          return role === undefined ? [] : [{ ...team, role }];
        })
        .sort((a, b) => byText(a.id, b.id));
      const { page: teams, hasMore } = listPage(mine, ({ id }) => id, request);
      return { teams, hasMore };
    },
  };
};
