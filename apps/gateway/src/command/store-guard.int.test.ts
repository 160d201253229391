/** NATS is killed and comes back on its own store, or on an older copy of it, as after a power loss. */

import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { closeCodes } from '@chat/contracts/protocol';
import {
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newCommandId,
  newTeamId,
  user,
} from '../testing/gateway-world.ts';
import type { WireClient } from '../testing/wire-client.ts';

let world: World;
let gateway: GatewayUnderTest;
const [ann, bob] = [user('ann'), user('bob')];
const team = newTeamId();
const channelId = newChannelId();

beforeEach(async () => {
  world = await createWorld();
  await world.makeTeam(team, ann, bob);
  await world.addMember(team, channelId, ann);
  await world.addMember(team, channelId, bob);
  gateway = await world.startGateway();
});
afterEach(() => world[Symbol.asyncDispose]());

const acceptedIds = (client: WireClient): readonly string[] =>
  client.frames.flatMap((frame) => (frame.t === 'accepted' ? [frame.id] : []));
const send = (client: WireClient): string => {
  const id = newCommandId();
  client.send({ t: 'cmd', id, name: 'message.send', data: { channelId, text: 'hello' } });
  return id;
};
const sendAccepted = async (client: WireClient): Promise<string> => {
  const id = send(client);
  await client.until('it is accepted', () => acceptedIds(client).includes(id));
  return id;
};
const joined = async (name: typeof ann): Promise<WireClient> => {
  const client = await gateway.join(team, name);
  await client.welcome();
  return client;
};

it('a store without an accepted command sends its sender away before a later one of his can overtake it', async () => {
  const [sender, other] = [await joined(ann), await joined(bob)];
  const store = join(world.nats.dataDir, 'jetstream');
  const older = join(world.nats.dataDir, 'older');
  await sendAccepted(sender);
  world.nats.pause();
  await cp(store, older, { recursive: true });
  world.nats.resume();
  const lost = await sendAccepted(sender);
  await world.nats.kill();
  await rm(store, { recursive: true });
  await rename(older, store);
  const later = send(sender);
  const others = send(other);
  await world.nats.start();
  expect((await sender.closed).code).toBe(closeCodes.GATEWAY_BEHIND);
  // Who had nothing accepted stays, and goes on.
  await other.until('the other is served', () => acceptedIds(other).includes(others));
  expect(acceptedIds(sender)).toContain(lost);
  expect(acceptedIds(sender)).not.toContain(later);
});

it('a store that has everything sends nobody away, and what was written meanwhile is accepted', async () => {
  const sender = await joined(ann);
  await sendAccepted(sender);
  await world.nats.kill();
  const meanwhile = send(sender);
  await world.nats.start();
  await sender.until('it is accepted', () => acceptedIds(sender).includes(meanwhile));
  expect(sender.closeCode).toBeUndefined();
});
