import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeCodes } from '@chat/contracts/protocol';
import {
  type World,
  createWorld,
  newChannelId,
  newCommandId,
  newTeamId,
  user,
} from '../testing/gateway-world.ts';

let world: World;
const ann = user('ann');
const team = newTeamId();

beforeAll(async () => {
  world = await createWorld();
  await world.makeTeam(team, ann);
});
afterAll(() => world[Symbol.asyncDispose]());

describe('drain', () => {
  it('tells every client when to come back, spread, closes them to reconnect, and takes nobody new', async () => {
    const gateway = await world.startGateway({ DRAIN_GRACE_MS: '6000' });
    const clients = await Promise.all(Array.from({ length: 60 }, () => gateway.join(team, ann)));
    await Promise.all(clients.map((client) => client.welcome()));
    const draining = gateway.gateway.drain?.(Date.now() + 10_000);
    const told = await Promise.all(clients.map((client) => client.frame('draining')));
    await expect(gateway.open(team)).rejects.toThrow();
    const waits = told.map((frame) => frame.reconnectAfterMs);
    expect(Math.max(...waits)).toBeLessThanOrEqual(600);
    expect(new Set(waits).size).toBeGreaterThan(10);
    const codes = await Promise.all(clients.map(async (client) => (await client.closed).code));
    expect(new Set(codes)).toEqual(new Set([closeCodes.DRAINING]));
    await draining;
  });

  it('gives a command on its way the chance to be answered before the socket closes', async () => {
    const gateway = await world.startGateway({ DRAIN_GRACE_MS: '6000' });
    const channelId = newChannelId();
    await world.addMember(team, channelId, ann);
    await world.onCommand(({ id, hash, actor }) => {
      const options = { channelId, channelSeq: 1, commandId: id, hash, actor };
      setTimeout(
        () => void world.append(team, `c_${channelId}`, 'message.sent', { text: 'x' }, options),
        500,
      );
    });
    const client = await gateway.join(team, ann);
    await client.welcome();
    client.send({ t: 'cmd', id: newCommandId(), name: 'message.send', data: { channelId, text: 'x' } });
    await client.frame('accepted');
    const draining = gateway.gateway.drain?.(Date.now() + 10_000);
    await client.frame('persisted');
    expect((await client.closed).code).toBe(closeCodes.DRAINING);
    await draining;
  });
});
