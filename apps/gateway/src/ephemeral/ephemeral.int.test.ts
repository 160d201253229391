import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newTeamId,
  user,
} from '../testing/gateway-world.ts';

let world: World;
let one: GatewayUnderTest;
let two: GatewayUnderTest;
const [ann, bob, eve] = [user('ann'), user('bob'), user('eve')];
const team = newTeamId();
const channelId = newChannelId();

beforeAll(async () => {
  world = await createWorld();
  one = await world.startGateway();
  two = await world.startGateway();
  await world.makeTeam(team, ann, bob, eve);
  for (const userId of [ann, bob]) await world.addMember(team, channelId, userId);
});
afterAll(() => world[Symbol.asyncDispose]());

it('typing reaches the members of the channel on every gateway, once a second, and nobody else', async () => {
  const [a, b, e] = [await one.join(team, ann), await two.join(team, bob), await two.join(team, eve)];
  await Promise.all([a.welcome(), b.welcome(), e.welcome()]);
  for (let i = 0; i < 5; i += 1) a.send({ t: 'typing', channelId });
  expect(await b.frame('typing')).toEqual({ t: 'typing', channelId, userId: ann });
  a.send({ t: 'presence', state: 'away' });
  // Presence goes the same way behind it, to the whole team: what came before it is there.
  expect(await e.frame('presence')).toEqual({ t: 'presence', userId: ann, state: 'away' });
  await b.frame('presence');
  expect(b.frames.filter((frame) => frame.t === 'typing')).toHaveLength(1);
  expect(e.frames.filter((frame) => frame.t === 'typing')).toHaveLength(0);
});

it('typing in a channel one is not in is refused with a code', async () => {
  const e = await one.join(team, eve);
  await e.welcome();
  e.send({ t: 'typing', channelId });
  expect(await e.frame('error')).toMatchObject({ code: 'CHANNEL_NOT_FOUND' });
});
