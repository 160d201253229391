import { describe, expect, it } from 'vitest';
import type { Command, CommandData, CommandName } from '@chat/contracts/commands';
import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import { type Decision, decide } from './decide.ts';
import { type DraftEvent, type Team, evolve } from './team.ts';

const teamId = '00aaaaaaaaaaaaaa' as TeamId;
const id = (n: number): CommandId => `018f0000-0000-7000-8000-${String(n).padStart(12, '0')}` as CommandId;
const channelOf = (n: number): ChannelId => id(n) as string as ChannelId;

type Wish = readonly [actor: string, name: CommandName, data: unknown, id?: CommandId];

const command = ([actor, name, data, commandId = id(99)]: Wish): Command =>
  ({
    name,
    data,
    id: commandId,
    teamId,
    actor: actor as UserId,
    hash: 'hhhhhhhhhhhhhhhh',
  }) as unknown as Command;

/** Given what was accepted before, when one more wish comes, then …; every event is applied as the writer does. */
const given = (...history: readonly Wish[]) => {
  let team: Team | undefined;
  let seq = 0;
  const apply = (events: readonly DraftEvent[]): void => {
    for (const event of events) team = evolve(team, teamId, event, (seq += 1));
  };
  for (const wish of history) {
    const decision = decide(team, command(wish), { nowMs: 1_000 });
    if (decision.kind === 'rejected') throw new Error(`history: ${wish[1]} was ${decision.code}`);
    apply(decision.events);
  }
  const when = (wish: Wish, nowMs = 1_000): Decision => decide(team, command(wish), { nowMs });
  return {
    when,
    rejects: (wish: Wish, code: string) => expect(when(wish)).toMatchObject({ kind: 'rejected', code }),
    accepts: (wish: Wish, ...events: readonly object[]) => {
      const decision = when(wish);
      expect(decision).toMatchObject({ kind: 'accepted', events });
      expect(decision.kind === 'accepted' && decision.events).toHaveLength(events.length);
    },
    team: (): Team => team!,
  };
};

const send = (channel: ChannelId, text = 'hi'): CommandData['message.send'] => ({ channelId: channel, text });
const general = channelOf(1);
const secret = channelOf(2);
const pair = channelOf(3);

const founded: readonly Wish[] = [['alice', 'team.create', { name: 'Team' }]];
const peopled: readonly Wish[] = [
  ...founded,
  ['alice', 'member.add', { userId: 'bob' }],
  ['alice', 'member.add', { userId: 'carol' }],
  ['alice', 'member.add', { userId: 'ada', role: 'admin' }],
];
/** `general` is public with alice and bob; `secret` is private with bob (its admin) and carol; `pair` is bob and carol. */
const furnished: readonly Wish[] = [
  ...peopled,
  ['alice', 'channel.create', { kind: 'public', name: 'general' }, id(1)],
  ['bob', 'channel.join', { channelId: general }],
  ['bob', 'channel.create', { kind: 'private', name: 'secret' }, id(2)],
  ['bob', 'member.add', { userId: 'carol', channelId: secret }],
  ['bob', 'channel.create', { kind: 'direct', memberIds: ['carol'] }, id(3)],
];

describe('team.create', () => {
  it('makes the actor the owner: the team, then the user’s own event, then the team’s', () => {
    const added = { userId: 'alice', role: 'owner', teamName: 'Team' };
    given().accepts(
      founded[0]!,
      { type: 'team.created', scope: 't', data: { name: 'Team' } },
      { type: 'team.member_added', scope: 'u_alice', data: added },
      { type: 'team.member_added', scope: 't', data: added },
    );
  });
  it('a team that exists is not made again', () => given(...founded).rejects(founded[0]!, 'TEAM_EXISTS'));
});

describe('channel.create', () => {
  it('a public channel is the team’s to see, its creator is its admin', () => {
    given(...peopled).accepts(
      ['bob', 'channel.create', { kind: 'public', name: 'x' }, id(7)],
      { type: 'channel.created', scope: 't', channelId: id(7), data: { kind: 'public', name: 'x' } },
      { type: 'member.added', scope: 'u_bob', channelId: id(7), data: { userId: 'bob', role: 'admin' } },
      { type: 'member.added', scope: `c_${id(7)}`, channelId: id(7) },
    );
  });
  it('a private channel is told to nobody but its members', () => {
    const decision = given(...peopled).when(['bob', 'channel.create', { kind: 'private', name: 'x' }, id(7)]);
    expect(decision.kind === 'accepted' && decision.events.map((event) => event.scope)).toEqual([
      'u_bob',
      `c_${id(7)}`,
      `c_${id(7)}`,
    ]);
  });
  it('a direct channel takes in all its members, each first', () => {
    const decision = given(...peopled).when([
      'bob',
      'channel.create',
      { kind: 'direct', memberIds: ['alice', 'bob', 'carol'] },
      id(7),
    ]);
    expect(
      decision.kind === 'accepted' &&
        decision.events.map((event) => `${event.type} ${event.scope.slice(0, 7)}`),
    ).toEqual([
      'member.added u_bob',
      'member.added c_018f0',
      'member.added u_alice',
      'member.added c_018f0',
      'member.added u_carol',
      'member.added c_018f0',
      'channel.created c_018f0',
    ]);
  });
  it.each(['general', 'GENERAL', 'ｇｅｎｅｒａｌ'])('the public name %s is taken', (name) =>
    given(...furnished).rejects(['carol', 'channel.create', { kind: 'public', name }], 'CHANNEL_NAME_TAKEN'),
  );
  it('a private channel may bear any name', () => {
    expect(
      given(...furnished).when(['carol', 'channel.create', { kind: 'private', name: 'general' }]).kind,
    ).toBe('accepted');
  });
  it.each([[['carol']], [['bob', 'carol']]])('bob and %j have their direct channel already', (memberIds) =>
    given(...furnished).rejects(
      ['bob', 'channel.create', { kind: 'direct', memberIds }],
      'CHANNEL_DIRECT_EXISTS',
    ),
  );
  it('a direct channel with a stranger is refused', () =>
    given(...furnished).rejects(
      ['bob', 'channel.create', { kind: 'direct', memberIds: ['zoe'] }],
      'TEAM_MEMBER_NOT_FOUND',
    ));
});

describe('channel.join and channel.leave', () => {
  it('a public channel is open to the team', () =>
    given(...furnished).accepts(
      ['carol', 'channel.join', { channelId: general }],
      { type: 'member.added', scope: 'u_carol', data: { role: 'member', kind: 'public', name: 'general' } },
      { type: 'member.added', scope: `c_${general}` },
    ));
  it.each([
    ['alice', secret, 'CHANNEL_NOT_FOUND'],
    ['alice', pair, 'CHANNEL_NOT_FOUND'],
    ['alice', channelOf(50), 'CHANNEL_NOT_FOUND'],
    ['bob', general, 'CHANNEL_MEMBER_EXISTS'],
    ['zoe', general, 'TEAM_NOT_FOUND'],
  ])('%s cannot join %s: %s', (actor, channelId, code) =>
    given(...furnished).rejects([actor, 'channel.join', { channelId }], code),
  );
  it('who leaves is told first, then the channel', () =>
    given(...furnished).accepts(
      ['bob', 'channel.leave', { channelId: general }],
      { type: 'member.removed', scope: 'u_bob', data: { userId: 'bob', reason: 'left' } },
      { type: 'member.removed', scope: `c_${general}` },
    ));
  it.each([
    ['carol', general, 'CHANNEL_MEMBER_NOT_FOUND'],
    ['alice', secret, 'CHANNEL_NOT_FOUND'],
    ['bob', pair, 'CHANNEL_KIND_FORBIDS'],
    ['alice', pair, 'CHANNEL_NOT_FOUND'],
  ])('%s cannot leave %s: %s', (actor, channelId, code) =>
    given(...furnished).rejects([actor, 'channel.leave', { channelId }], code),
  );
});

describe('member.add', () => {
  it('to the team, by its owner or admin', () => {
    for (const actor of ['alice', 'ada']) {
      given(...furnished).accepts(
        [actor, 'member.add', { userId: 'zoe', role: 'admin' }],
        {
          type: 'team.member_added',
          scope: 'u_zoe',
          data: { userId: 'zoe', role: 'admin', teamName: 'Team' },
        },
        { type: 'team.member_added', scope: 't' },
      );
    }
  });
  it('to a channel, by any of its members', () =>
    given(...furnished).accepts(
      ['carol', 'member.add', { userId: 'ada', channelId: secret }],
      { type: 'member.added', scope: 'u_ada', channelId: secret, data: { role: 'member', kind: 'private' } },
      { type: 'member.added', scope: `c_${secret}` },
    ));
  it.each([
    ['bob', { userId: 'zoe' }, 'FORBIDDEN'],
    ['alice', { userId: 'bob' }, 'TEAM_MEMBER_EXISTS'],
    ['carol', { userId: 'ada', channelId: general }, 'FORBIDDEN'],
    ['alice', { userId: 'ada', channelId: secret }, 'CHANNEL_NOT_FOUND'],
    ['bob', { userId: 'ada', channelId: pair }, 'CHANNEL_KIND_FORBIDS'],
    ['alice', { userId: 'ada', channelId: pair }, 'CHANNEL_NOT_FOUND'],
    ['bob', { userId: 'zoe', channelId: secret }, 'TEAM_MEMBER_NOT_FOUND'],
    ['bob', { userId: 'carol', channelId: secret }, 'CHANNEL_MEMBER_EXISTS'],
    ['carol', { userId: 'ada', channelId: secret, role: 'admin' }, 'FORBIDDEN'],
  ])('%s may not: %j is %s', (actor, data, code) =>
    given(...furnished).rejects([actor, 'member.add', data], code),
  );
});

describe('member.remove', () => {
  it.each(['bob', 'alice', 'ada'])('from a channel, by %s', (actor) =>
    given(...furnished).accepts(
      [actor, 'member.remove', { userId: 'carol', channelId: secret }],
      { type: 'member.removed', scope: 'u_carol', data: { userId: 'carol', reason: 'removed' } },
      { type: 'member.removed', scope: `c_${secret}` },
    ),
  );
  it('from the team ends every channel membership, and the pair may have a new direct channel after a return', () => {
    const story = given(...furnished, ['alice', 'member.remove', { userId: 'carol' }]);
    const { channels } = story.team();
    expect([...channels.values()].some((channel) => channel.members.has('carol' as UserId))).toBe(false);
    story.rejects(['carol', 'message.send', send(secret)], 'TEAM_NOT_FOUND');
    const returned = given(
      ...furnished,
      ['alice', 'member.remove', { userId: 'carol' }],
      ['alice', 'member.add', { userId: 'carol' }],
    );
    returned.rejects(['carol', 'message.send', send(pair)], 'MSG_CHANNEL_NOT_FOUND');
    expect(returned.when(['bob', 'channel.create', { kind: 'direct', memberIds: ['carol'] }]).kind).toBe(
      'accepted',
    );
  });
  it.each([
    ['bob', { userId: 'carol' }, 'FORBIDDEN'],
    ['ada', { userId: 'alice' }, 'FORBIDDEN'],
    ['alice', { userId: 'zoe' }, 'TEAM_MEMBER_NOT_FOUND'],
    ['carol', { userId: 'bob', channelId: secret }, 'FORBIDDEN'],
    ['carol', { userId: 'bob', channelId: general }, 'FORBIDDEN'],
    ['alice', { userId: 'carol', channelId: pair }, 'CHANNEL_NOT_FOUND'],
    ['bob', { userId: 'carol', channelId: pair }, 'CHANNEL_KIND_FORBIDS'],
    ['alice', { userId: 'carol', channelId: general }, 'CHANNEL_MEMBER_NOT_FOUND'],
    ['alice', { userId: 'carol', channelId: channelOf(50) }, 'CHANNEL_NOT_FOUND'],
  ])('%s may not: %j is %s', (actor, data, code) =>
    given(...furnished).rejects([actor, 'member.remove', data], code),
  );
  it('a stranger learns nothing about a private channel', () =>
    given(...peopled, ['bob', 'channel.create', { kind: 'private', name: 's' }, id(2)]).rejects(
      ['carol', 'member.remove', { userId: 'bob', channelId: secret }],
      'CHANNEL_NOT_FOUND',
    ));
});

describe('message.send', () => {
  it('takes the next number of its channel, for its members alone', () => {
    const story = given(...furnished, ['alice', 'message.send', send(general)]);
    story.accepts(['bob', 'message.send', send(general, 'two')], {
      type: 'message.sent',
      scope: `c_${general}`,
      channelId: general,
      channelSeq: 2,
      data: { text: 'two' },
    });
  });
  it('its time never goes back within a channel, whatever the clock does', () => {
    const story = given(...furnished);
    const decision = story.when(['alice', 'message.send', send(general)], 400);
    expect(decision).toMatchObject({ kind: 'accepted', events: [{ at: 1_000 }] });
  });
  it.each([
    ['alice', secret, 'MSG_CHANNEL_NOT_FOUND'],
    ['alice', channelOf(50), 'MSG_CHANNEL_NOT_FOUND'],
    ['zoe', general, 'TEAM_NOT_FOUND'],
  ])('%s cannot write to %s: %s', (actor, channel, code) =>
    given(...furnished).rejects([actor, 'message.send', send(channel)], code),
  );
  it('to a team that does not exist is refused', () =>
    given().rejects(['alice', 'message.send', send(general)], 'TEAM_NOT_FOUND'));
});

describe('read.mark', () => {
  const spoken: readonly Wish[] = [
    ...furnished,
    ['alice', 'message.send', send(general)],
    ['alice', 'message.send', send(general)],
    ['bob', 'read.mark', { channelId: general, channelSeq: 1 }],
  ];
  it('is told to the reader’s own devices alone', () =>
    given(...spoken).accepts(['bob', 'read.mark', { channelId: general, channelSeq: 2 }], {
      type: 'read.marked',
      scope: 'u_bob',
      channelId: general,
      data: { upTo: 2 },
    }));
  it.each([
    ['bob', general, 1, 'READ_MARK_STALE'],
    ['bob', general, 3, 'READ_MARK_UNKNOWN'],
    ['carol', general, 1, 'CHANNEL_NOT_FOUND'],
    ['alice', secret, 1, 'CHANNEL_NOT_FOUND'],
  ])('%s in %s to %i: %s', (actor, channelId, channelSeq, code) =>
    given(...spoken).rejects([actor, 'read.mark', { channelId, channelSeq }], code),
  );
});

describe('evolve', () => {
  it('who comes back begins anew: a later sinceSeq, nothing read', () => {
    const story = given(
      ...furnished,
      ['alice', 'message.send', send(general)],
      ['bob', 'read.mark', { channelId: general, channelSeq: 1 }],
      ['bob', 'channel.leave', { channelId: general }],
      ['bob', 'channel.join', { channelId: general }],
    );
    const first = given(...furnished)
      .team()
      .channels.get(general)!
      .members.get('bob' as UserId)!;
    const again = story
      .team()
      .channels.get(general)!
      .members.get('bob' as UserId)!;
    expect(again.readUpTo).toBe(0);
    expect(again.sinceSeq).toBeGreaterThan(first.sinceSeq);
  });
  it('a log that names a channel before its creation is a fault', () => {
    const event = {
      type: 'message.sent',
      scope: `c_${general}`,
      channelId: general,
      channelSeq: 1,
      data: { text: '' },
      at: 1,
    };
    expect(() => evolve(undefined, teamId, event as DraftEvent, 1)).toThrow(/before its creation/);
  });
});
