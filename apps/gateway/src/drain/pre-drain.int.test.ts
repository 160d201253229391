import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DrainReply, gatewayDrainSubject } from '@chat/contracts/registry';
import { closeCodes } from '@chat/contracts/protocol';
import type { NatsHandle } from '@chat/platform/nats/connect';
import {
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newCommandId,
  newTeamId,
  user,
} from '../testing/gateway-world.ts';

let world: World;
let ops: NatsHandle;
const ann = user('ann');
const team = newTeamId();
const channelId = newChannelId();

beforeAll(async () => {
  world = await createWorld();
  // As the stock CLI connects: with the default inbox.
  ops = await world.connect('ops', '_INBOX');
  await world.makeTeam(team, ann);
  await world.addMember(team, channelId, ann);
});
afterAll(() => world[Symbol.asyncDispose]());

const ask = async (gateway: GatewayUnderTest, body: string): Promise<DrainReply> => {
  const reply = await ops.nc.request(gatewayDrainSubject(gateway.config.INSTANCE_ID), body, {
    timeout: 5_000,
  });
  return reply.json<DrainReply>();
};

const joinMany = async (gateway: GatewayUnderTest, count: number) => {
  const clients = await Promise.all(Array.from({ length: count }, () => gateway.join(team, ann)));
  await Promise.all(clients.map((client) => client.welcome()));
  return clients;
};

describe("the operator's drain", () => {
  it('spreads the clients over the time asked for, takes nobody new, and says so', async () => {
    const gateway = await world.startGateway();
    const clients = await joinMany(gateway, 40);
    const startMs = Date.now();
    const reply = await ask(gateway, '{"minutes": 0.05}');
    expect(reply).toMatchObject({
      ok: true,
      sockets: 40,
      minutes: 0.05,
      instance: gateway.config.INSTANCE_ID,
    });
    expect(gateway.isReady()).toBe(false);
    await expect(gateway.open(team)).rejects.toMatchObject({ status: 503 });
    expect(await gateway.metric('chat_gateway_draining')).toBe(1);
    const closedAfterMs = await Promise.all(
      clients.map(async (client) => {
        const told = await client.frame('draining');
        expect(told.reconnectAfterMs).toBeLessThanOrEqual(3_000);
        expect((await client.closed).code).toBe(closeCodes.DRAINING);
        return Date.now() - startMs;
      }),
    );
    // 40 times by chance within 3 s: the middle half cannot be all on one side.
    closedAfterMs.sort((a, b) => a - b);
    expect((closedAfterMs[39] ?? 0) - (closedAfterMs[0] ?? 0)).toBeGreaterThan(1_000);
    expect(await gateway.metric('chat_gateway_sockets_closed_total', { reason: 'draining' })).toBe(40);
    expect(await gateway.metric('chat_gateway_sockets')).toBe(0);
  });

  it('a request that is no good changes nothing', async () => {
    const gateway = await world.startGateway();
    for (const body of ['', '{"minutes": -1}', '{"minutes": "5"}', '[]', '{"minutes": 100000}', 'null'])
      expect(await ask(gateway, body)).toMatchObject({ ok: false });
    expect(gateway.isReady()).toBe(true);
    await joinMany(gateway, 1);
  });

  it('SIGTERM in the middle of it does not wait for its minutes', async () => {
    const gateway = await world.startGateway({ DRAIN_GRACE_MS: '4000' });
    const clients = await joinMany(gateway, 20);
    await ask(gateway, '{"minutes": 60}');
    const startMs = Date.now();
    await gateway.gateway.drain?.(startMs + 10_000);
    expect(Date.now() - startMs).toBeLessThan(4_500);
    const codes = await Promise.all(clients.map(async (client) => (await client.closed).code));
    expect(new Set(codes)).toEqual(new Set([closeCodes.DRAINING]));
  });
});

it('whoever still has commands without an outcome at the end of the grace is closed all the same', async () => {
  const gateway = await world.startGateway({ DRAIN_GRACE_MS: '1000' });
  const [client] = await joinMany(gateway, 1);
  // No writer is played: the command stays without an outcome.
  client?.send({ t: 'cmd', id: newCommandId(), name: 'message.send', data: { channelId, text: 'x' } });
  await client?.frame('accepted');
  const startMs = Date.now();
  await gateway.gateway.drain?.(startMs + 10_000);
  expect(Date.now() - startMs).toBeGreaterThan(900);
  expect((await client?.closed)?.code).toBe(closeCodes.DRAINING);
  await expect(gateway.open(team)).rejects.toThrow();
});
