/**
 * What a gateway answers while PostgreSQL is stopped: no writer commits, nobody answers for outcomes, no view moves. Then
 * it is back, and what was accepted is persisted. (That the gateway has no connection to it at all is why it can.)
 */

import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CommandEnvelope } from '@chat/contracts/commands';
import { cmdStream } from '@chat/contracts/streams';
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

beforeAll(async () => {
  world = await createWorld();
  await world.makeTeam(team, ann, bob);
  await world.addMember(team, channelId, ann);
  await world.addMember(team, channelId, bob);
  gateway = await world.startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());

const send = (text: string) => ({
  t: 'cmd',
  id: newCommandId(),
  name: 'message.send',
  data: { channelId, text },
});

it('hello, resume, ping, what is committed and sends go on; the accepted is persisted once it is back', async () => {
  const old = await gateway.join(team, ann);
  const { head } = await old.welcome();
  const said = await world.say(team, channelId, 'committed, relayed late');
  await old.until('live fan-out of what is committed', () => old.seqs().includes(said));
  const client = await gateway.join(team, bob, { epoch: EPOCH, seq: head });
  expect((await client.welcome()).resume).toBe('replayed');
  await client.until('the replay', () => client.seqs().includes(said));
  client.send({ t: 'ping', id: 'p' });
  expect(await client.frame('pong')).toMatchObject({ id: 'p' });
  const texts = Array.from({ length: 20 }, (_, i) => `kept ${i}`);
  for (const text of texts) client.send(send(text));
  await client.until('all accepted', () => client.frames.filter(({ t }) => t === 'accepted').length === 20);
  expect(client.frames.some(({ t }) => t === 'persisted')).toBe(false);
  expect(await gateway.metric('chat_gateway_commands_in_flight')).toBe(20);
  expect(gateway.isReady()).toBe(true);
  // It is back: a writer reads CMD from where it was.
  await world.onCommand(({ id, hash, actor, data }: CommandEnvelope) => {
    const options = { channelId, channelSeq: 1, commandId: id, hash, actor };
    world.appendSoon(team, `c_${channelId}`, 'message.sent', data as { text: string }, options);
  });
  await client.until('all persisted', () => client.frames.filter(({ t }) => t === 'persisted').length === 20);
  await old.until('all delivered', () => old.texts().length === 21);
  expect(old.texts().slice(1)).toEqual(texts);
});

it('above the bound of the command stream sends are refused with OVERLOADED and when to try again', async () => {
  const client = await gateway.join(team, ann);
  await client.welcome();
  const { config } = await world.writer.jsm.streams.info(cmdStream(0));
  const { state } = await world.writer.jsm.streams.info(cmdStream(0));
  await world.writer.jsm.streams.update(cmdStream(0), { ...config, max_bytes: state.bytes + 2_000 });
  for (let i = 0; i < 30; i += 1) client.send(send(`filling ${i}`));
  const refused = await client.frame('rejected');
  expect(refused).toMatchObject({ code: 'OVERLOADED', retryable: true });
  expect(refused.seq).toBeUndefined();
  expect(refused.retryAfterMs).toBeGreaterThan(0);
  await client.until(
    'an answer to each',
    () => client.frames.filter(({ t }) => t === 'rejected' || t === 'accepted').length === 30,
  );
  await world.writer.jsm.streams.update(cmdStream(0), { ...config, max_bytes: 2 ** 20 });
  const again = send('room again');
  client.send(again);
  await client.until('accepted again', () =>
    client.frames.some((frame) => frame.t === 'accepted' && frame.id === again.id),
  );
});
