/** The log of one team as a plain list, and what the design says of it: who may see what, who is in which channel. */

import type { ChannelMembership, MembershipView } from '@chat/contracts/events';
import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import { EPOCH, type World, newChannelId, user } from './gateway-world.ts';

type Entry = {
  readonly seq: number;
  readonly scope: 't' | { readonly user: UserId } | { readonly channel: ChannelId };
  /** Only in the `u_` event of a change. */
  readonly change?: {
    readonly userId: UserId;
    readonly channelId: ChannelId;
    readonly kind: 'joined' | 'left';
  };
};

export type LogModel = {
  readonly users: readonly UserId[];
  readonly channels: readonly ChannelId[];
  /** One random step: a message, a joining, a leaving, a team event. */
  step(random: () => number): void;
  /** A team event that everybody sees. */
  mark(): number;
  /** What a member with this cursor must get of (afterSeq, upToSeq]. */
  visible(userId: UserId, afterSeq: number, upToSeq: number): number[];
  view(userId: UserId, asOf: number): MembershipView;
};

export const createLogModel = async (
  world: World,
  team: TeamId,
  userCount: number,
  channelCount: number,
): Promise<LogModel> => {
  const users = Array.from({ length: userCount }, (_, i) => user(`user${i}`));
  const channels = Array.from({ length: channelCount }, () => newChannelId());
  const firstSeq = world.lastSeq();
  await world.makeTeam(team, ...users);
  const entries: Entry[] = [{ seq: firstSeq + 1, scope: 't' }];
  users.forEach((userId, i) => {
    entries.push(
      { seq: firstSeq + 2 + 2 * i, scope: { user: userId } },
      { seq: firstSeq + 3 + 2 * i, scope: 't' },
    );
  });
  const members = new Map<ChannelId, Set<UserId>>(channels.map((channelId) => [channelId, new Set()]));
  const pick = <T>(items: readonly T[], random: () => number): T =>
    items[Math.floor(random() * items.length)] as T;
  let channelSeq = 0;

  const change = (userId: UserId, channelId: ChannelId, kind: 'joined' | 'left'): void => {
    const options = { channelId };
    const added = { userId, role: 'member', kind: 'public', name: 'c' } as const;
    const removed = { userId, reason: 'removed' } as const;
    const append = (scope: `u_${UserId}` | `c_${ChannelId}`): number =>
      kind === 'joined'
        ? world.appendSoon(team, scope, 'member.added', added, options)
        : world.appendSoon(team, scope, 'member.removed', removed, options);
    entries.push({
      seq: append(`u_${userId}`),
      scope: { user: userId },
      change: { userId, channelId, kind },
    });
    entries.push({ seq: append(`c_${channelId}`), scope: { channel: channelId } });
    if (kind === 'joined') members.get(channelId)?.add(userId);
    else members.get(channelId)?.delete(userId);
  };

  const mark = (): number => {
    const seq = world.appendSoon(team, 't', 'channel.created', { kind: 'public', name: 'mark' });
    entries.push({ seq, scope: 't' });
    return seq;
  };

  /** Walks the log from its beginning; calls back for each entry with whether the user is in its channel. */
  const walk = (
    userId: UserId,
    upToSeq: number,
    see: (entry: Entry, sees: boolean) => void,
  ): Map<ChannelId, number> => {
    const mine = new Map<ChannelId, number>();
    const memberSince = firstSeq + 2 + 2 * users.indexOf(userId);
    for (const entry of entries) {
      if (entry.seq > upToSeq) break;
      const { scope } = entry;
      see(
        entry,
        scope === 't'
          ? entry.seq > memberSince
          : 'user' in scope
            ? scope.user === userId
            : mine.has(scope.channel),
      );
      if (entry.change?.userId !== userId) continue;
      if (entry.change.kind === 'joined') mine.set(entry.change.channelId, entry.seq);
      else mine.delete(entry.change.channelId);
    }
    return mine;
  };

  return {
    users,
    channels,
    mark,
    step: (random) => {
      const channelId = pick(channels, random);
      const userId = pick(users, random);
      const dice = random();
      if (dice < 0.12) change(userId, channelId, members.get(channelId)?.has(userId) ? 'left' : 'joined');
      else if (dice < 0.15) mark();
      else {
        channelSeq += 1;
        const text = `message ${channelSeq} ${'x'.repeat(Math.floor(random() * 300))}`;
        const seq = world.appendSoon(
          team,
          `c_${channelId}`,
          'message.sent',
          { text },
          { channelId, channelSeq },
        );
        entries.push({ seq, scope: { channel: channelId } });
      }
    },
    visible: (userId, afterSeq, upToSeq) => {
      const seqs: number[] = [];
      walk(userId, upToSeq, (entry, sees) => {
        if (sees && entry.seq > afterSeq) seqs.push(entry.seq);
      });
      return seqs;
    },
    view: (userId, asOf) => {
      const mine = walk(userId, asOf, () => undefined);
      const list: ChannelMembership[] = [...mine].map(([id, sinceSeq]) => ({ id, sinceSeq, role: 'member' }));
      return { asOf, epoch: EPOCH, role: 'member', channels: list };
    },
  };
};

/** A small seeded generator, so that a failure can be run again. */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};
