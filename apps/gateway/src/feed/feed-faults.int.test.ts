import { afterEach, beforeEach, expect, it } from 'vitest';
import { evtStream } from '@chat/contracts/streams';
import { closeCodes } from '@chat/contracts/protocol';
import {
  EPOCH,
  type World,
  createWorld,
  newChannelId,
  newTeamId,
  until,
  user,
} from '../testing/gateway-world.ts';

let world: World;
const ann = user('ann');
const team = newTeamId();
const channelId = newChannelId();

beforeEach(async () => {
  world = await createWorld();
  await world.makeTeam(team, ann);
  await world.addMember(team, channelId, ann);
});
afterEach(() => world[Symbol.asyncDispose]());

it('a gateway that cannot follow sends its clients elsewhere, and takes them again with nothing missing', async () => {
  const gateway = await world.startGateway({ BEHIND_MAX_MS: '1500' });
  const client = await gateway.join(team, ann);
  const { head } = await client.welcome();
  world.nats.pause();
  expect((await client.closed).code).toBe(closeCodes.GATEWAY_BEHIND);
  expect(gateway.isReady()).toBe(false);
  expect(await gateway.metric('chat_gateway_sockets_closed_total', { reason: 'behind' })).toBe(1);
  expect(await gateway.metric('chat_gateway_feed_stalled_seconds')).toBeGreaterThan(1.4);
  world.nats.resume();
  await gateway.untilReady();
  const said = await world.say(team, channelId, 'meanwhile');
  const again = await gateway.join(team, ann, { epoch: EPOCH, seq: head });
  await again.until('what was missed', () => again.seqs().includes(said));
  expect(again.seqs()).toEqual([said]);
});

it('one new epoch after the other: the gateway follows the last with one consumer', async () => {
  const gateway = await world.startGateway({ BEHIND_MAX_MS: '3000' });
  for (let round = 2; round <= 5; round += 1) {
    const client = await gateway.join(team, ann);
    await client.welcome();
    const epoch = `epoch-${round}`;
    await world.recreateEvt(0, epoch, world.lastSeq() + 1);
    // The reset of the feed and the regular look at the stream see the new epoch about the same time.
    await world.makeTeam(team, ann);
    expect((await client.closed).code).toBe(closeCodes.EPOCH_CHANGED);
    await until('the new epoch', async () => {
      if (!gateway.isReady()) return false;
      await world.putView(team, ann, { asOf: world.lastSeq(), epoch, role: 'member', channels: [] });
      await world.putPosition(world.lastSeq(), 0, epoch);
      const again = await gateway.join(team, ann);
      const welcome = await again.welcome().catch(() => undefined);
      return welcome?.epoch === epoch;
    });
    const names: string[] = [];
    for await (const consumer of world.writer.jsm.consumers.list(evtStream(0))) names.push(consumer.name);
    expect(names).toHaveLength(1);
  }
});

it('events leave the tail by age; whoever missed them is replayed from the stream', async () => {
  const gateway = await world.startGateway({ TAIL_MAX_AGE_MS: '400', BEHIND_MAX_MS: '1500' });
  const client = await gateway.join(team, ann);
  const { head } = await client.welcome();
  const said = [
    await world.say(team, channelId, 'one'),
    await world.say(team, channelId, 'two'),
    await world.say(team, channelId, 'three'),
  ];
  await client.until('all', () => client.events.length === 3);
  expect(await gateway.metric('chat_gateway_tail_bytes')).toBeGreaterThan(0);
  await until('an empty tail', async () => (await gateway.metric('chat_gateway_tail_events')) === 0);
  expect(await gateway.metric('chat_gateway_tail_bytes')).toBe(0);
  await world.putView(team, ann, {
    asOf: world.lastSeq(),
    epoch: EPOCH,
    role: 'member',
    channels: [{ id: channelId, sinceSeq: head, role: 'member' }],
  });
  await world.putPosition(world.lastSeq());
  const again = await gateway.join(team, ann, { epoch: EPOCH, seq: head });
  expect((await again.welcome()).resume).toBe('replayed');
  await again.until('all', () => again.events.length === 3);
  expect(again.seqs()).toEqual(said);
});

it('events purged before the gateway read them: its clients come back with their cursors, and it goes on', async () => {
  const gateway = await world.startGateway({ BEHIND_MAX_MS: '3000' });
  const client = await gateway.join(team, ann);
  const { head } = await client.welcome();
  // A sequence without its event, as after a purge that was quicker than the feed: nothing later shows the hole.
  await world.writer.jsm.streams.purge(evtStream(0), { seq: head + 4 });
  world.setLastSeq(0, head + 3);
  expect((await client.closed).code).toBe(closeCodes.GATEWAY_BEHIND);
  await gateway.untilReady();
  await world.putView(team, ann, {
    asOf: head + 3,
    epoch: EPOCH,
    role: 'member',
    channels: [{ id: channelId, sinceSeq: 1, role: 'member' }],
  });
  await world.putPosition(head + 3);
  const again = await gateway.join(team, ann, { epoch: EPOCH, seq: head });
  expect(await again.welcome()).toMatchObject({
    resume: 'snapshot_required',
    reason: 'too_old',
    head: head + 3,
  });
  const said = await world.say(team, channelId, 'it goes on');
  await again.until('it goes on', () => again.seqs().includes(said));
});
