import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeCodes } from '@chat/contracts/protocol';
import { evtStream } from '@chat/contracts/streams';
import { ensureEvtStream } from '@chat/platform/nats/streams';
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

beforeAll(async () => {
  world = await createWorld();
  gateway = await world.startGateway();
  await world.makeTeam(team, ann);
});
afterAll(() => world[Symbol.asyncDispose]());

describe('upgrade', () => {
  it.each(['nonsense', 'UPPERCASE0000000', 'zz00000000000000'])(
    '%s is no team: 404 with a code',
    async (path) => {
      await expect(gateway.open(path)).rejects.toMatchObject({ status: 404 });
      const refusal = await gateway
        .open(path)
        .catch((error: { body: string }) => JSON.parse(error.body) as object);
      expect(refusal).toMatchObject({ code: 'TEAM_NOT_FOUND', retryable: false });
    },
  );
  it('an origin that is not on the list is refused; one that is, or none, is let in', async () => {
    await expect(gateway.open(team, { origin: 'http://evil.example' })).rejects.toMatchObject({
      status: 403,
    });
    (await gateway.open(team, { origin: 'http://good.example' })).terminate();
    (await gateway.open(team)).terminate();
  });
  it('the subprotocol is echoed when it is offered', async () => {
    expect((await gateway.open(team, { protocol: 'chat.v1' })).socket.protocol).toBe('chat.v1');
  });
});

describe('hello', () => {
  it('a token in the Authorization header of the upgrade is as good as one in hello', async () => {
    const client = await gateway.open(team, { bearer: await world.issuer.mint(ann) });
    client.send({ t: 'hello' });
    expect(await client.welcome()).toMatchObject({ userId: ann });
  });

  it.each([
    ['none', undefined, 'AUTH_TOKEN_MISSING', closeCodes.TOKEN_INVALID],
    ['garbage', 'abc.def.ghi', 'AUTH_TOKEN_INVALID', closeCodes.TOKEN_INVALID],
  ])(
    'a token that is %s: a coded error, then a close that says do not reconnect',
    async (_what, token, code, close) => {
      const client = await gateway.open(team);
      client.send({ t: 'hello', ...(token ? { token } : {}) });
      expect(await client.frame('error')).toMatchObject({ code });
      expect((await client.closed).code).toBe(close);
    },
  );

  it('an expired token: get a new one and reconnect', async () => {
    const client = await gateway.open(team);
    client.send({ t: 'hello', token: await world.issuer.mint(ann, { ttlSeconds: -60 }) });
    expect(await client.frame('error')).toMatchObject({ code: 'AUTH_TOKEN_EXPIRED' });
    expect((await client.closed).code).toBe(closeCodes.TOKEN_EXPIRED);
  });

  it('another frame first is refused, a second hello too; ping is answered at any time', async () => {
    const client = await gateway.open(team);
    client.send({ t: 'ping', id: 'p' });
    expect(await client.frame('pong')).toEqual({ t: 'pong', id: 'p' });
    client.send({ t: 'ack', seq: 1 });
    expect(await client.frame('error')).toMatchObject({ code: 'HELLO_REQUIRED' });
    client.send({ t: 'hello', token: await world.issuer.mint(ann) });
    await client.welcome();
    const from = client.frames.length;
    client.send({ t: 'hello', token: await world.issuer.mint(ann) });
    expect(await client.frame('error', from)).toMatchObject({ code: 'HELLO_REPEATED' });
  });

  it('no hello within 5 s ends the connection', async () => {
    const client = await gateway.open(team);
    expect(await client.frame('error')).toMatchObject({ code: 'HELLO_TIMEOUT' });
    expect((await client.closed).code).toBe(closeCodes.HELLO_TIMEOUT);
  });

  it('who is no member of the team is told so, and not to come back', async () => {
    const client = await gateway.join(team, user('mallory'));
    expect(await client.frame('error')).toMatchObject({ code: 'TEAM_NOT_FOUND' });
    expect((await client.closed).code).toBe(closeCodes.NOT_A_MEMBER);
  });

  it('a team that reaches this gateway a moment after hello is found', async () => {
    const late = newTeamId();
    const client = await gateway.join(late, ann);
    client.send({ t: 'ping' });
    await client.frame('pong');
    await world.makeTeam(late, ann);
    expect(await client.welcome()).toMatchObject({ teamId: late, head: world.lastSeq() });
  });

  it('a frame over 4 KiB before hello is too large', async () => {
    const client = await gateway.open(team);
    client.sendRaw(JSON.stringify({ t: 'hello', token: 'x'.repeat(5_000) }));
    expect(await client.frame('error')).toMatchObject({ code: 'FRAME_TOO_LARGE' });
  });
});

describe('membership', () => {
  it('removal at S: nothing of the channel behind S, on the socket that is live; the removed learns of it', async () => {
    const channelId = newChannelId();
    await world.addMember(team, channelId, ann);
    const client = await gateway.join(team, ann);
    await client.welcome();
    const sayText = (text: string): number =>
      world.appendSoon(team, `c_${channelId}`, 'message.sent', { text }, { channelId });
    for (let i = 0; i < 20; i += 1) sayText(`before ${i}`);
    const removal = await world.removeMember(team, channelId, ann);
    for (let i = 0; i < 20; i += 1) sayText(`after ${i}`);
    const mark = await world.append(team, 't', 'channel.created', { kind: 'public', name: 'mark' });
    await client.until('the mark', () => client.events.at(-1)?.seq === mark);
    expect(client.texts()).toEqual(Array.from({ length: 20 }, (_, i) => `before ${i}`));
    expect(client.seqs().slice(-2)).toEqual([removal, mark]);
  });

  it('who is removed from the team gets that event, then is closed for good', async () => {
    const bob = user('bob');
    const other = newTeamId();
    await world.makeTeam(other, bob);
    const client = await gateway.join(other, bob);
    await client.welcome();
    const seq = await world.append(other, `u_${bob}`, 'team.member_removed', { userId: bob });
    expect((await client.closed).code).toBe(closeCodes.NOT_A_MEMBER);
    expect(client.seqs()).toEqual([seq]);
  });

  it("beyond the tail it is the projector's view and the user's events since, also those before the tail", async () => {
    const [kept, left, joined] = [newChannelId(), newChannelId(), newChannelId()];
    const other = newTeamId();
    await world.makeTeam(other, ann);
    const since = await world.addMember(other, kept, ann);
    await world.addMember(other, left, ann);
    const asOf = world.lastSeq();
    await world.putView(other, ann, {
      asOf,
      epoch: EPOCH,
      role: 'member',
      channels: [
        { id: kept, sinceSeq: since, role: 'member' },
        { id: left, sinceSeq: asOf - 1, role: 'member' },
      ],
    });
    await world.removeMember(other, left, ann);
    for (let i = 0; i < 20; i += 1) await world.say(other, kept, 'x');
    await world.addMember(other, joined, ann);
    const small = await world.startGateway({ TAIL_FILL_COUNT: '5' });
    // No position yet: nobody can be sure of the view.
    const early = await small.join(other, ann);
    expect((await early.closed).code).toBe(closeCodes.MEMBERSHIP_UNAVAILABLE);
    await world.putPosition(asOf);
    const client = await small.join(other, ann);
    await client.welcome();
    for (const channelId of [kept, left, joined]) await world.say(other, channelId, channelId);
    await client.until('two messages', () => client.texts().length >= 2);
    expect(client.texts()).toEqual([kept, joined]);
  });

  it('when the stream no longer holds what came behind the view, nobody is let in on an old membership', async () => {
    const channelId = newChannelId();
    const other = newTeamId();
    await world.makeTeam(other, ann);
    const sinceSeq = await world.addMember(other, channelId, ann);
    const asOf = world.lastSeq();
    const channels = [{ id: channelId, sinceSeq, role: 'member' }] as const;
    await world.putView(other, ann, { asOf, epoch: EPOCH, role: 'member', channels });
    await world.putPosition(asOf);
    await world.removeMember(other, channelId, ann);
    const firstSeq = world.lastSeq() + 1;
    for (let i = 0; i < 5; i += 1) await world.say(other, channelId, 'not for ann');
    await world.writer.jsm.streams.purge(evtStream(0), { seq: firstSeq });
    const late = await world.startGateway();
    const client = await late.join(other, ann);
    expect((await client.closed).code).toBe(closeCodes.MEMBERSHIP_UNAVAILABLE);
  });
});

describe('readiness', () => {
  it('a gateway whose stream does not exist yet is not ready, and is once it does', async () => {
    const two = await world.startGateway({ PARTITIONS: '2', EXPECT_READY: 'no' });
    expect(two.isReady()).toBe(false);
    const client = await two.join(newTeamId(1), ann);
    expect((await client.closed).code).toBe(closeCodes.MEMBERSHIP_UNAVAILABLE);
    await ensureEvtStream(world.writer.jsm, 1, { epoch: EPOCH });
    await until('ready', two.isReady);
  });
});
