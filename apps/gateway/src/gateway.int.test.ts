import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type World,
  type GatewayUnderTest,
  EPOCH,
  createWorld,
  newChannelId,
  newCommandId,
  newTeamId,
  user,
} from './testing/gateway-world.ts';

let world: World;
let gateway: GatewayUnderTest;

beforeAll(async () => {
  world = await createWorld();
  gateway = await world.startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());

describe('live', () => {
  it('a member gets what is said in its channels, its team and to itself, in order, and nothing else', async () => {
    const team = newTeamId();
    const [mine, others] = [newChannelId(), newChannelId()];
    const [ann, bob] = [user('ann'), user('bob')];
    await world.makeTeam(team, ann, bob);
    await world.addMember(team, mine, ann);
    await world.addMember(team, others, bob);
    const client = await gateway.join(team, ann);
    const welcome = await client.welcome();
    expect(welcome).toMatchObject({ resume: 'fresh', epoch: EPOCH, teamId: team, userId: ann });
    expect(welcome.head).toBe(world.lastSeq());
    const first = await world.say(team, mine, 'one');
    await world.say(team, others, 'not for ann');
    const second = await world.append(team, 't', 'channel.created', { kind: 'public', name: 'x' });
    const third = await world.say(team, mine, 'two');
    await client.until('three events', () => client.events.length >= 3);
    expect(client.seqs()).toEqual([first, second, third]);
    expect(client.texts()).toEqual(['one', 'two']);
  });

  it('a command is accepted, then persisted with the seq of its event', async () => {
    const team = newTeamId();
    const channelId = newChannelId();
    const ann = user('ann');
    await world.makeTeam(team, ann);
    await world.addMember(team, channelId, ann);
    await world.onCommand((envelope, _seq, of) => {
      if (of !== team) return;
      const { id, hash, actor } = envelope;
      world.appendSoon(
        team,
        `c_${channelId}`,
        'message.sent',
        { text: 'hi' },
        { channelId, commandId: id, hash, actor },
      );
    });
    const client = await gateway.join(team, ann);
    await client.welcome();
    const id = newCommandId();
    client.send({ t: 'cmd', id, name: 'message.send', data: { channelId, text: 'hi' } });
    const persisted = await client.frame('persisted');
    expect(persisted).toEqual({ t: 'persisted', id, seq: world.lastSeq() });
    expect(client.frames.map((f) => f.t).filter((t) => t === 'accepted')).toHaveLength(1);
    expect(client.texts()).toEqual(['hi']);
    await world.settle();
  });
});
