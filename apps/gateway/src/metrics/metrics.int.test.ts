import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CommandEnvelope } from '@chat/contracts/commands';
import {
  EPOCH,
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newCommandId,
  newTeamId,
  user,
} from '../testing/gateway-world.ts';

let world: World;
let gateway: GatewayUnderTest;
const [ann, bob] = [user('ann'), user('bob')];
const team = newTeamId();
const channelId = newChannelId();

const send = (text: string, to = channelId) => ({
  t: 'cmd',
  id: newCommandId(),
  name: 'message.send',
  data: { channelId: to, text },
});

beforeAll(async () => {
  world = await createWorld();
  await world.makeTeam(team, ann, bob);
  await world.addMember(team, channelId, ann);
  await world.addMember(team, channelId, bob);
  await world.onCommand(({ id, hash, actor, data }: CommandEnvelope) => {
    const options = { channelId, channelSeq: 1, commandId: id, hash, actor };
    world.appendSoon(team, `c_${channelId}`, 'message.sent', data as { text: string }, options);
  });
  gateway = await world.startGateway({ MESSAGE_BURST_COUNT: '5' });
});
afterAll(() => world[Symbol.asyncDispose]());

it('every metric tells the truth of what happened', async () => {
  const clients = [
    await gateway.join(team, ann),
    await gateway.join(team, bob),
    await gateway.join(team, bob),
  ];
  const welcomes = await Promise.all(clients.map((client) => client.welcome()));
  const [annSocket, bobSocket] = clients as [(typeof clients)[0], (typeof clients)[0]];
  expect(welcomes[0]?.limits.messages?.burst).toEqual({ maxCount: 5, perMs: 10_000, remainingCount: 5 });
  const headSeq = welcomes[0]?.head ?? 0;
  for (let i = 0; i < 5; i += 1) annSocket.send(send(`m${i}`));
  await annSocket.until(
    'all persisted',
    () => annSocket.frames.filter(({ t }) => t === 'persisted').length === 5,
  );
  for (const client of clients) await client.until('all delivered', () => client.events.length === 5);

  // The sixth is over the burst; a frame of no shape; an upgrade of no team; a hello with a bad token.
  annSocket.send(send('too much'));
  const rejected = await annSocket.frame('rejected');
  expect(rejected).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
  expect(rejected.retryAfterMs).toBeGreaterThan(0);
  annSocket.sendRaw('{');
  await annSocket.frame('error');
  await expect(gateway.open('nothing')).rejects.toMatchObject({ status: 404 });
  const stranger = await gateway.open(team);
  stranger.send({ t: 'hello', token: 'x' });
  await stranger.closed;

  // A device that has seen two of the five, one that has seen all; then a resume.
  annSocket.send({ t: 'ack', seq: headSeq + 2 });
  bobSocket.send({ t: 'ack', seq: headSeq + 5 });
  annSocket.send({ t: 'ping' });
  bobSocket.send({ t: 'ping' });
  await Promise.all([annSocket.frame('pong'), bobSocket.frame('pong')]);
  const back = await gateway.join(team, bob, { epoch: EPOCH, seq: headSeq });
  const { limits } = await back.welcome();
  expect(limits.messages?.burst.remainingCount).toBe(5);
  back.socket.close(1000);
  await back.closed;

  const { metric } = gateway;
  await expect.poll(() => metric('chat_gateway_sockets')).toBe(3);
  expect(await metric('chat_gateway_sockets_opened_total')).toBe(5);
  expect(await metric('chat_gateway_sockets_closed_total', { reason: 'client' })).toBe(1);
  expect(await metric('chat_gateway_sockets_closed_total', { reason: 'auth' })).toBe(1);
  expect(await metric('chat_gateway_sockets_closed_total')).toBe(2);
  expect(await metric('chat_gateway_hellos_total', { result: 'fresh' })).toBe(3);
  expect(await metric('chat_gateway_hellos_total', { result: 'replayed' })).toBe(1);
  expect(await metric('chat_gateway_hellos_total', { result: 'refused' })).toBe(1);
  expect(await metric('chat_gateway_hello_duration_seconds_count')).toBe(5);
  expect(await metric('chat_gateway_hello_duration_seconds_bucket', { le: '+Inf' })).toBe(5);
  expect(await metric('chat_gateway_reconnects_total')).toBe(1);
  expect(await metric('chat_gateway_frames_received_total', { type: 'cmd' })).toBe(6);
  expect(await metric('chat_gateway_frames_received_total', { type: 'ack' })).toBe(2);
  expect(await metric('chat_gateway_frames_received_total', { type: 'invalid' })).toBe(1);
  for (const code of ['RATE_LIMITED', 'FRAME_NOT_JSON', 'TEAM_NOT_FOUND', 'AUTH_TOKEN_INVALID'])
    expect(await metric('chat_gateway_refusals_total', { code }), code).toBe(1);
  const named = { name: 'message.send' };
  expect(await metric('chat_gateway_commands_total', { ...named, result: 'persisted' })).toBe(5);
  expect(await metric('chat_gateway_commands_total', { ...named, result: 'refused' })).toBe(1);
  expect(await metric('chat_gateway_commands_total')).toBe(6);
  expect(await metric('chat_gateway_command_duration_seconds_count')).toBe(5);
  expect(await metric('chat_gateway_delivery_duration_seconds_count')).toBe(5);
  expect(await metric('chat_gateway_delivery_duration_seconds_sum')).toBeGreaterThan(0);
  expect(await metric('chat_gateway_delivery_duration_seconds_bucket', { le: '30' })).toBe(5);
  expect(await metric('chat_gateway_events_total')).toBe(5);
  expect(await metric('chat_gateway_deliveries_total')).toBe(15);
  expect(await metric('chat_gateway_delivery_errors_total')).toBe(0);
  expect(await metric('chat_gateway_slow_readers')).toBe(0);
  expect(await metric('chat_gateway_device_lag_events', { fraction: '1' })).toBe(3);
  expect(await metric('chat_gateway_device_lag_events', { fraction: '0.5' })).toBe(0);
  expect(await metric('chat_gateway_partition_position', { partition: '0' })).toBe(headSeq + 5);
  expect(await metric('chat_gateway_feed_stalled_seconds', { partition: '0' })).toBeLessThan(30);
  expect(await metric('chat_gateway_tail_events')).toBe(headSeq + 5);
  expect(await metric('chat_gateway_tail_bytes')).toBeGreaterThan(500);
  expect(await metric('chat_gateway_commands_in_flight')).toBe(0);
  expect(await metric('chat_gateway_command_queue_bytes')).toBe(0);
  expect(await metric('chat_gateway_draining')).toBe(0);
  expect(await metric('chat_gateway_registry_entries')).toBe(2);
  expect(await metric('chat_limit_refusals_total', { limit: 'messages_burst' })).toBe(1);
  expect(await metric('chat_limit_violators')).toBe(1);
});

it('names no user, team, channel, text or token', async () => {
  const text = await gateway.scrape();
  for (const word of [team, channelId, 'ann', 'bob', 'too much']) expect(text).not.toContain(`"${word}`);
  expect(text).not.toContain('undefined');
  expect(text).not.toContain('NaN');
});
