import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandEnvelope } from '@chat/contracts/commands';
import type { OutcomeReply } from '@chat/contracts/events';
import type { ChannelId, TeamId } from '@chat/contracts/ids';
import { outcomeSubject } from '@chat/contracts/subjects';
import {
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newCommandId,
  newTeamId,
  until,
  user,
} from '../testing/gateway-world.ts';

let world: World;
let gateway: GatewayUnderTest;
const ann = user('ann');
const team = newTeamId();
let channelId: ChannelId;
let onCommand: (envelope: CommandEnvelope, cmdSeq: number, of: TeamId) => void = () => undefined;
const seen: { id: string; cmdSeq: number }[] = [];

/** Plays the writer: the command's event, as a real one would write it. */
const persist = ({ id, hash, actor, data }: CommandEnvelope): number =>
  world.appendSoon(team, `c_${channelId}`, 'message.sent', data as { text: string }, {
    channelId,
    channelSeq: 1,
    commandId: id,
    hash,
    actor,
  });

const send = (text: string, id = newCommandId(), to = channelId) => ({
  t: 'cmd',
  id,
  name: 'message.send',
  data: { channelId: to, text },
});

beforeAll(async () => {
  world = await createWorld();
  gateway = await world.startGateway();
  channelId = newChannelId();
  await world.makeTeam(team, ann);
  await world.addMember(team, channelId, ann);
  await world.onCommand((envelope, cmdSeq, of) => {
    seen.push({ id: envelope.id, cmdSeq });
    onCommand(envelope, cmdSeq, of);
  });
});
afterAll(() => world[Symbol.asyncDispose]());

describe('commands', () => {
  it('of one session reach CMD in the order sent, and each is accepted and persisted once', async () => {
    onCommand = (envelope) => void persist(envelope);
    const client = await gateway.join(team, ann);
    await client.welcome();
    const ids = Array.from({ length: 100 }, () => newCommandId());
    for (const id of ids) client.send(send(`text ${id}`, id));
    await client.until('all persisted', () => client.frames.filter((f) => f.t === 'persisted').length >= 100);
    expect(seen.slice(-100).map((s) => s.id)).toEqual(ids);
    expect(client.frames.flatMap((f) => (f.t === 'accepted' ? [f.id] : []))).toEqual(ids);
    expect(client.frames.flatMap((f) => (f.t === 'persisted' ? [f.id] : []))).toEqual(ids);
    expect(client.frames.flatMap((f) => (f.t === 'persisted' && f.duplicate ? [f.id] : []))).toEqual([]);
    await world.settle();
  });

  it('one id sent many times at once is one command with as many answers, all but one marked duplicate', async () => {
    onCommand = (envelope) => void setTimeout(() => persist(envelope), 50);
    const client = await gateway.join(team, ann);
    await client.welcome();
    const id = newCommandId();
    for (let i = 0; i < 30; i += 1) client.send(send('same', id));
    const answers = () => client.frames.flatMap((f) => (f.t === 'persisted' ? [f] : []));
    await client.until('30 answers', () => answers().length >= 30);
    expect(seen.filter((s) => s.id === id)).toHaveLength(1);
    expect(new Set(answers().map((a) => a.seq)).size).toBe(1);
    expect(answers().filter((a) => a.duplicate)).toHaveLength(29);
    await world.settle();
  });

  it('a repeat of what was persisted long ago is answered by the writer, as a duplicate with the first seq', async () => {
    const asked: string[] = [];
    const subscription = world.writer.nc.subscribe(outcomeSubject(0), {
      callback: (_error, msg) => {
        const { commandId } = msg.json<{ commandId: string }>();
        asked.push(commandId);
        const reply = { kind: 'persisted', seq: 4, cmdSeq: 1, event: {} } as unknown as OutcomeReply;
        msg.respond(JSON.stringify(reply));
      },
    });
    onCommand = () => undefined; // an id the broker no longer knows: the writer finds the repeat and writes no event
    const client = await gateway.join(team, ann);
    await client.welcome();
    const id = newCommandId();
    client.send(send('old', id));
    expect(await client.frame('persisted')).toEqual({ t: 'persisted', id, seq: 4, duplicate: true });
    expect(asked).toEqual([id]);
    subscription.unsubscribe();
  });

  it("the writer's rejection reaches the sender with its seq and code, and its devices as an event", async () => {
    onCommand = ({ id, hash, actor, name }) =>
      void world.appendSoon(
        team,
        `u_${actor}`,
        'command.rejected',
        { name, code: 'MSG_DUPLICATE_SEND', message: 'used' },
        { commandId: id, hash, actor },
      );
    const client = await gateway.join(team, ann);
    const device = await gateway.join(team, ann);
    await Promise.all([client.welcome(), device.welcome()]);
    const id = newCommandId();
    client.send(send('x', id));
    const seq = world.lastSeq() + 1;
    expect(await client.frame('rejected')).toEqual({
      t: 'rejected',
      id,
      seq,
      code: 'MSG_DUPLICATE_SEND',
      message: 'used',
      retryable: false,
    });
    await device.until('the event', () => device.events.length > 0);
    expect(device.seqs()).toEqual([seq]);
    expect(device.frames.some((f) => f.t === 'rejected')).toBe(false);
    await world.settle();
  });

  it.each([
    [{ t: 'cmd', id: 'no-uuid', name: 'message.send', data: {} }, 'COMMAND_ID_INVALID'],
    [{ t: 'cmd', id: newCommandId(), name: 'message.drop', data: {} }, 'COMMAND_UNKNOWN'],
    [{ t: 'cmd', id: newCommandId(), name: 'message.send', data: { channelId: 1 } }, 'COMMAND_INVALID'],
    [send('   ', newCommandId(), newChannelId()), 'MSG_TEXT_EMPTY'],
    [send('a\u0000b', newCommandId(), newChannelId()), 'MSG_TEXT_INVALID'],
  ])('refused here, nothing stored: %j → %s', async (frame, code) => {
    const client = await gateway.join(team, ann);
    await client.welcome();
    const before = seen.length;
    client.send(frame);
    const rejected = await client.frame('rejected');
    expect(rejected).toMatchObject({ id: frame.id, code, retryable: false });
    expect(rejected).not.toHaveProperty('seq');
    expect(seen.length).toBe(before);
  });

  it('a channel the user is not in: a few guesses go to the writer, the rest are refused here', async () => {
    onCommand = () => undefined;
    const client = await gateway.join(team, ann);
    await client.welcome();
    for (let i = 0; i < 20; i += 1) client.send(send('guess', newCommandId(), newChannelId()));
    const rejected = () => client.frames.flatMap((f) => (f.t === 'rejected' ? [f] : []));
    await client.until('refusals', () => rejected().length >= 14);
    expect(rejected().every((f) => f.code === 'MSG_CHANNEL_NOT_FOUND')).toBe(true);
    client.terminate();
  });

  it('more than the session may have waiting is refused as retryable', async () => {
    const small = await world.startGateway({ IN_FLIGHT_MAX_COUNT: '10' });
    onCommand = () => undefined;
    const client = await small.join(team, ann);
    await client.welcome();
    for (let i = 0; i < 15; i += 1) client.send(send(`m${i}`));
    const rejected = () => client.frames.flatMap((f) => (f.t === 'rejected' ? [f] : []));
    await client.until('5 refusals', () => rejected().length >= 5);
    expect(rejected()).toHaveLength(5);
    expect(rejected()[0]).toMatchObject({ code: 'IN_FLIGHT_EXCEEDED', retryable: true });
    expect(rejected()[0]?.retryAfterMs).toBeGreaterThan(0);
    client.terminate();
  });

  it('a user over the limit is told how long to wait, on every gateway that saw the messages', async () => {
    const limits = { MESSAGE_BURST_COUNT: '5', MESSAGE_BURST_MS: '10000', MESSAGE_SUSTAINED_COUNT: '100' };
    const [one, two] = [await world.startGateway(limits), await world.startGateway(limits)];
    onCommand = (envelope) => void persist(envelope);
    const [a, b] = [await one.join(team, ann), await two.join(team, ann)];
    await Promise.all([a.welcome(), b.welcome()]);
    b.send(send('the second gateway knows the user'));
    await b.frame('persisted');
    for (let i = 0; i < 4; i += 1) a.send(send(`m${i}`));
    await b.until('five messages seen', () => b.texts().length >= 5);
    await a.until('five messages seen', () => a.texts().length >= 5);
    a.send(send('too much'));
    const rejected = await a.frame('rejected');
    expect(rejected).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    expect(rejected.retryAfterMs).toBeGreaterThan(0);
    b.send(send('too much here as well'));
    expect(await b.frame('rejected')).toMatchObject({ code: 'RATE_LIMITED' });
    await world.settle();
    // What is left is told at the welcome, the same by both.
    for (const each of [one, two]) {
      const { limits } = await (await each.join(team, ann)).welcome();
      expect(limits.messages?.burst).toMatchObject({ maxCount: 5, perMs: 10_000, remainingCount: 0 });
      expect(limits.messages?.sustained.remainingCount).toBeGreaterThan(90);
      expect(await each.metric('chat_limit_violators')).toBe(1);
      expect(await each.metric('chat_limit_refusals_total', { limit: 'messages_burst' })).toBe(1);
    }
  });

  it('what a user sent over HTTP counts, and nobody else pays for it', async () => {
    const carl = user('carl');
    await world.makeTeam(team, carl);
    await world.addMember(team, channelId, carl);
    const one = await world.startGateway({ MESSAGE_BURST_COUNT: '5', MESSAGE_BURST_MS: '10000' });
    onCommand = (envelope) => void persist(envelope);
    const [a, c] = [await one.join(team, ann), await one.join(team, carl)];
    await Promise.all([a.welcome(), c.welcome()]);
    // No session of this gateway waits for them: they came by the api.
    for (let i = 0; i < 5; i += 1) await world.say(team, channelId, `by HTTP ${i}`, { actor: carl });
    await c.until('five messages seen', () => c.texts().length >= 5);
    c.send(send('too much'));
    expect(await c.frame('rejected')).toMatchObject({ code: 'RATE_LIMITED' });
    a.send(send('another user'));
    await a.frame('persisted');
    await world.settle();
  });

  it('a broker that comes back is used again: what was sent meanwhile is stored once, in order', async () => {
    onCommand = (envelope) => void persist(envelope);
    const client = await gateway.join(team, ann);
    await client.welcome();
    world.nats.pause();
    const ids = Array.from({ length: 5 }, () => newCommandId());
    for (const id of ids) client.send(send('while away', id));
    client.send({ t: 'ping' });
    await client.frame('pong');
    world.nats.resume();
    await client.until(
      'all persisted',
      () => client.frames.filter((f) => f.t === 'persisted').length >= 5,
      20_000,
    );
    expect(client.frames.flatMap((f) => (f.t === 'persisted' ? [f.id] : []))).toEqual(ids);
    expect(seen.filter((s) => (ids as string[]).includes(s.id)).map((s) => s.id)).toEqual(ids);
    await world.settle();
  });

  it('a broker that stays away: every queued command is refused as retryable, in order, and the socket stays', async () => {
    const client = await gateway.join(team, ann);
    await client.welcome();
    await world.nats.kill();
    const ids = Array.from({ length: 3 }, () => newCommandId());
    for (const id of ids) client.send(send('lost', id));
    const rejected = () => client.frames.flatMap((f) => (f.t === 'rejected' ? [f] : []));
    await client.until('refusals', () => rejected().length >= 3, 20_000);
    expect(rejected().map((f) => f.id)).toEqual(ids);
    expect(rejected()[0]).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    client.send({ t: 'ping' });
    await client.frame('pong');
    await world.nats.restart();
    await until('the test itself is connected again', () => world.writer.status().ok);
    const seq = await world.say(team, channelId, 'back');
    await client.until('live again', () => client.seqs().includes(seq), 20_000);
  });
});
