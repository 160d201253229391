import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evtStream } from '@chat/contracts/streams';
import { closeCodes } from '@chat/contracts/protocol';
import {
  EPOCH,
  type GatewayUnderTest,
  type World,
  createWorld,
  newChannelId,
  newTeamId,
  user,
} from '../testing/gateway-world.ts';
import { type LogModel, createLogModel, seeded } from '../testing/log-model.ts';
import type { WireClient } from '../testing/wire-client.ts';

const SEED = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);

type Opened = {
  readonly client: WireClient;
  readonly userIndex: number;
  readonly cursorSeq: number | undefined;
};

/**
 * Publishes `stepCount` random steps in bursts while sessions with random cursors come; then compares what each got with
 * the model, to the event.
 */
const race = async (
  world: World,
  gateway: GatewayUnderTest,
  model: LogModel,
  team: ReturnType<typeof newTeamId>,
  options: {
    readonly sessionCount: number;
    readonly stepCount: number;
    readonly beforeOpen?: () => Promise<void>;
    /** How often the publisher waits for the stream; a flood would outrun a small tail. */
    readonly settleShare?: number;
  },
): Promise<{ resumes: string[] }> => {
  const random = seeded(SEED);
  const opened: Opened[] = [];
  const opening: Promise<void>[] = [];
  const open = async (): Promise<void> => {
    const userIndex = Math.floor(random() * model.users.length);
    const cursorSeq = random() < 0.1 ? undefined : Math.floor(random() * (world.lastSeq() + 1));
    const cursor = cursorSeq === undefined ? undefined : { epoch: EPOCH, seq: cursorSeq };
    const client = await gateway.join(team, model.users[userIndex] as never, cursor);
    opened.push({ client, userIndex, cursorSeq });
  };
  const every = Math.ceil(options.stepCount / options.sessionCount);
  for (let i = 0; i < options.stepCount; i += 1) {
    model.step(random);
    if (random() < (options.settleShare ?? 0.15)) await world.settle();
    if (i % every === every - 1) {
      await options.beforeOpen?.();
      opening.push(open());
    }
  }
  await world.settle();
  await Promise.all(opening);
  await Promise.all(opened.map(({ client }) => client.welcome()));
  const mark = model.mark();
  await world.settle();
  const resumes: string[] = [];
  for (const { client, userIndex, cursorSeq } of opened) {
    await client.until(`the mark ${mark}`, () => client.events.at(-1)?.seq === mark);
    const { resume, reason, head } = await client.welcome();
    resumes.push(reason ?? resume);
    const from = resume === 'replayed' ? (cursorSeq ?? head) : head;
    const expected = model.visible(model.users[userIndex] as never, from, mark);
    expect(
      client.seqs(),
      `seed ${SEED}, user ${userIndex}, cursor ${cursorSeq}, ${resume} head ${head}`,
    ).toEqual(expected);
  }
  return { resumes };
};

describe('resume from the tail', () => {
  let world: World;
  let gateway: GatewayUnderTest;
  beforeAll(async () => {
    world = await createWorld();
    gateway = await world.startGateway();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('gives exactly what was missed and goes live without gap or double, whatever is published meanwhile', async () => {
    const team = newTeamId();
    const model = await createLogModel(world, team, 4, 4);
    const { resumes } = await race(world, gateway, model, team, { sessionCount: 60, stepCount: 3_000 });
    expect(resumes.filter((r) => r === 'replayed').length).toBeGreaterThan(40);
  });

  it('a cursor at the head gets nothing but a tick', async () => {
    const team = newTeamId();
    const ann = user('ann');
    await world.makeTeam(team, ann);
    const client = await gateway.join(team, ann, { epoch: EPOCH, seq: world.lastSeq() });
    const tick = await client.frame('tick');
    expect(tick.seq).toBe(world.lastSeq());
    expect(client.events).toHaveLength(0);
    expect(await client.welcome()).toMatchObject({ resume: 'replayed', head: world.lastSeq() });
  });

  it('another epoch needs a snapshot', async () => {
    const team = newTeamId();
    const ann = user('ann');
    await world.makeTeam(team, ann);
    const client = await gateway.join(team, ann, { epoch: 'other', seq: 1 });
    expect(await client.welcome()).toMatchObject({ resume: 'snapshot_required', reason: 'epoch_changed' });
  });

  it('a cursor ahead of the log waits for the log, then is replayed; one that never comes is unknown_future', async () => {
    const team = newTeamId();
    const ann = user('ann');
    await world.makeTeam(team, ann);
    const soon = world.lastSeq() + 2;
    const waiting = await gateway.join(team, ann, { epoch: EPOCH, seq: soon });
    await world.append(team, 't', 'channel.created', { kind: 'public', name: 'a' });
    await world.append(team, 't', 'channel.created', { kind: 'public', name: 'b' });
    expect(await waiting.welcome()).toMatchObject({ resume: 'replayed' });
    const last = await world.append(team, 't', 'channel.created', { kind: 'public', name: 'c' });
    await waiting.until('the third', () => waiting.events.length > 0);
    expect(waiting.seqs()).toEqual([last]);

    const never = await gateway.join(team, ann, { epoch: EPOCH, seq: last + 1_000 });
    expect(await never.welcome()).toMatchObject({
      resume: 'snapshot_required',
      reason: 'unknown_future',
      head: last,
    });
  });

  it('nothing of the time between removal and re-adding is replayed', async () => {
    const team = newTeamId();
    const channelId = newChannelId();
    const [ann, bob] = [user('ann'), user('bob')];
    await world.makeTeam(team, ann, bob);
    await world.addMember(team, channelId, ann);
    await world.addMember(team, channelId, bob);
    const cursor = { epoch: EPOCH, seq: world.lastSeq() };
    const before = await world.say(team, channelId, 'before');
    const removal = await world.removeMember(team, channelId, ann);
    await world.say(team, channelId, 'secret');
    const added = await world.addMember(team, channelId, ann);
    const after = await world.say(team, channelId, 'after');
    const client = await gateway.join(team, ann, cursor);
    await client.frame('tick');
    expect(client.seqs()).toEqual([before, removal, added, added + 1, after]);
    expect(client.texts()).toEqual(['before', 'after']);
  });
});

describe('resume beyond the tail', () => {
  let world: World;
  let gateway: GatewayUnderTest;
  beforeAll(async () => {
    world = await createWorld();
    gateway = await world.startGateway({ TAIL_MAX_COUNT: '400', REPLAY_MAX_COUNT: '5000' });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('reads the stream by scope and meets the tail exactly', async () => {
    const team = newTeamId();
    const model = await createLogModel(world, team, 3, 3);
    const random = seeded(SEED);
    for (let i = 0; i < 1_000; i += 1) model.step(random);
    await world.settle();
    let viewedAt = 0;
    /** Plays the projector: views and position as of a moment ago. */
    const project = async (): Promise<void> => {
      await world.settle();
      const asOf = world.lastSeq();
      if (asOf - viewedAt < 60) return;
      viewedAt = asOf;
      for (const userId of model.users) await world.putView(team, userId, model.view(userId, asOf));
      await world.putPosition(asOf);
    };
    await project();
    const { resumes } = await race(world, gateway, model, team, {
      sessionCount: 25,
      stepCount: 800,
      beforeOpen: project,
      settleShare: 0.7,
    });
    expect(resumes.filter((r) => r === 'replayed').length, resumes.join()).toBeGreaterThan(10);
  });

  it('too much missed needs a snapshot: too_many', async () => {
    const team = newTeamId();
    const ann = user('ann');
    const cursorSeq = world.lastSeq();
    await world.makeTeam(team, ann);
    for (let i = 0; i < 200; i += 1)
      world.appendSoon(team, 't', 'channel.created', { kind: 'public', name: 'x' });
    await world.settle();
    await world.putView(team, ann, { asOf: world.lastSeq(), epoch: EPOCH, role: 'member', channels: [] });
    await world.putPosition(world.lastSeq());
    const small = await world.startGateway({ TAIL_MAX_COUNT: '50', REPLAY_MAX_COUNT: '100' });
    const client = await small.join(team, ann, { epoch: EPOCH, seq: cursorSeq });
    expect(await client.welcome()).toMatchObject({ resume: 'snapshot_required', reason: 'too_many' });
    const near = await small.join(team, ann, { epoch: EPOCH, seq: world.lastSeq() - 90 });
    expect(await near.welcome()).toMatchObject({ resume: 'replayed' });
    await near.until('90 events', () => near.events.length === 90);
  });

  it('a stream that no longer holds what was missed needs a snapshot: too_old; live sessions stay', async () => {
    const team = newTeamId();
    const ann = user('ann');
    await world.makeTeam(team, ann);
    const cursorSeq = world.lastSeq();
    for (let i = 0; i < 400; i += 1)
      world.appendSoon(team, 't', 'channel.created', { kind: 'public', name: 'x' });
    await world.settle();
    await world.putView(team, ann, { asOf: world.lastSeq(), epoch: EPOCH, role: 'member', channels: [] });
    await world.putPosition(world.lastSeq());
    const live = await gateway.join(team, ann);
    await live.welcome();
    // What was flushed leaves the tail with the next event.
    const kept = await world.append(team, 't', 'channel.created', { kind: 'public', name: 'kept' });
    await world.writer.jsm.streams.purge(evtStream(0), { seq: cursorSeq + 3 });
    const client = await gateway.join(team, ann, { epoch: EPOCH, seq: cursorSeq });
    expect(await client.welcome()).toMatchObject({ resume: 'snapshot_required', reason: 'too_old' });
    const last = await world.append(team, 't', 'channel.created', { kind: 'public', name: 'y' });
    await live.until('what comes next', () => live.events.length > 1);
    expect(live.seqs()).toEqual([kept, last]);
  });

  it('a hole in the log ends its sessions, which come back with their cursors', async () => {
    const team = newTeamId();
    const ann = user('ann');
    await world.makeTeam(team, ann);
    await world.putView(team, ann, { asOf: world.lastSeq(), epoch: EPOCH, role: 'member', channels: [] });
    await world.putPosition(world.lastSeq());
    const client = await gateway.join(team, ann);
    const { head } = await client.welcome();
    world.nats.pause();
    world.nats.resume();
    // The stream is made anew under its epoch, but without what stood between.
    await world.recreateEvt(0, EPOCH, head + 10);
    await world.append(team, 't', 'channel.created', { kind: 'public', name: 'z' });
    expect((await client.closed).code).toBe(closeCodes.GATEWAY_BEHIND);
  });
});
