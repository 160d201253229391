import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evtStream } from '@chat/contracts/streams';
import { evtSubject } from '@chat/contracts/subjects';
import { closeCodes } from '@chat/contracts/protocol';
import {
  EPOCH,
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newTeamId,
  until,
  user,
} from '../testing/gateway-world.ts';

let world: World;
let gateway: GatewayUnderTest;
const ann = user('ann');
const team = newTeamId();
const channelId = newChannelId();

beforeAll(async () => {
  world = await createWorld();
  gateway = await world.startGateway();
  await world.makeTeam(team, ann);
  await world.addMember(team, channelId, ann);
});
afterAll(() => world[Symbol.asyncDispose]());

describe('the feed', () => {
  it('kill -9 of NATS and its return: the socket stays, nothing is lost or doubled', async () => {
    const client = await gateway.join(team, ann);
    const { head } = await client.welcome();
    for (let round = 0; round < 3; round += 1) {
      for (let i = 0; i < 50; i += 1)
        world.appendSoon(team, `c_${channelId}`, 'message.sent', { text: `r${round} ${i}` }, { channelId });
      await world.settle();
      await world.nats.kill();
      await world.nats.restart();
      await until('the test is connected again', () => world.writer.status().ok);
    }
    const last = await world.say(team, channelId, 'last');
    await client.until('the last', () => client.events.at(-1)?.seq === last, 20_000);
    expect(client.seqs()).toEqual(Array.from({ length: last - head }, (_, i) => head + 1 + i));
  });

  it('an EVT stream wiped and filled again under its numbers and epoch: no client notices', async () => {
    const client = await gateway.join(team, ann);
    const { head } = await client.welcome();
    await world.say(team, channelId, 'before the loss');
    const lost: { subject: string; data: Uint8Array }[] = [];
    for (let seq = 1; seq <= world.lastSeq(); seq += 1) {
      const message = await world.writer.jsm.streams.getMessage(evtStream(0), { seq });
      if (message) lost.push({ subject: message.subject, data: message.data });
    }
    await world.recreateEvt(0, EPOCH, 1);
    for (const { subject, data } of lost) await world.writer.js.publish(subject, data);
    world.setLastSeq(0, lost.length);
    const last = await world.say(team, channelId, 'after the loss');
    await client.until('the last', () => client.events.at(-1)?.seq === last, 15_000);
    expect(client.seqs()).toEqual([head + 1, last]);
    const resumed = await gateway.join(team, ann, { epoch: EPOCH, seq: head });
    await resumed.frame('tick');
    expect(resumed.seqs()).toEqual([head + 1, last]);
  });

  it('a new epoch closes the sessions, and nothing of it is shown under the old one', async () => {
    const client = await gateway.join(team, ann);
    const { head } = await client.welcome();
    await world.recreateEvt(0, 'epoch-2', head + 1);
    await world.makeTeam(team, ann);
    expect((await client.closed).code).toBe(closeCodes.EPOCH_CHANGED);
    expect(client.events).toHaveLength(0);
    await gateway.untilReady();
    await world.putView(team, ann, { asOf: world.lastSeq(), epoch: 'epoch-2', role: 'member', channels: [] });
    await world.putPosition(world.lastSeq(), 0, 'epoch-2');
    await until('the new epoch', async () => {
      const again = await gateway.join(team, ann, { epoch: EPOCH, seq: head });
      const outcome = await Promise.race([
        again.welcome().catch(() => undefined),
        again.closed.then(() => undefined),
      ]);
      if (!outcome) return false;
      expect(outcome).toMatchObject({
        epoch: 'epoch-2',
        resume: 'snapshot_required',
        reason: 'epoch_changed',
      });
      return true;
    });
  });

  it('an event whose payload names another number halts the partition: not ready, sessions sent away', async () => {
    const client = await gateway.join(team, ann);
    await client.welcome();
    await world.writer.js.publish(evtSubject(team, 't'), '{"seq":999999,"type":"team.created"}');
    expect((await client.closed).code).toBe(closeCodes.GATEWAY_BEHIND);
    expect(gateway.isReady()).toBe(false);
    const refused = await gateway.join(team, ann);
    expect((await refused.closed).code).toBe(closeCodes.MEMBERSHIP_UNAVAILABLE);
  });
});
