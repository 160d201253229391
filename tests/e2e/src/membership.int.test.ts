/** I3: nothing reaches a non-member; the removed learn of it; the time between two memberships stays hidden. */

import { randomUUID } from 'node:crypto';
import type { ChannelId, UserId } from '@chat/contracts/ids';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkHistory, describeViolations } from '@chat/testkit/checking/checker';
import { readLog } from '@chat/testkit/checking/collect';
import type { WireSession } from '@chat/testkit/checking/wire-session';
import { type World, explainFailures, startWorld, user } from './world.ts';

const alice = user('alice');
const bob = user('bob');
const carol = user('carol');
const dora = user('dora');

let world: World;

beforeAll(async () => {
  world = await startWorld({ users: [alice, bob, carol, dora] });
}, 60_000);

explainFailures(() => world);
afterAll(async () => world?.[Symbol.asyncDispose]());

/** Sends as `session`'s user and answers the committed seq. */
const say = async (session: WireSession, channelId: ChannelId, text: string): Promise<number> => {
  const outcome = await session.outcome(session.say(channelId, text));
  if (outcome.t !== 'persisted') throw new Error(`${text}: ${outcome.code}`);
  return outcome.seq;
};
const change = async (
  session: WireSession,
  name: 'member.add' | 'member.remove',
  data: { readonly userId: UserId; readonly channelId?: ChannelId },
): Promise<number> => {
  const outcome = await session.outcome(session.command(name, data));
  if (outcome.t !== 'persisted') throw new Error(`${name}: ${outcome.code}`);
  return outcome.seq;
};
/** Waits until `session` has been given everything up to `seq` (an event or a tick). */
const reached = (session: WireSession, seq: number): Promise<true> =>
  session.frame(`everything up to ${seq}`, () => (session.cursor().seq >= seq ? true : undefined), 45_000);

const texts = (session: WireSession): readonly string[] =>
  session.events.flatMap((event) => (event.type === 'message.sent' ? [event.data.text] : []));
const removals = (session: WireSession, userId: UserId) =>
  session.events.filter((event) => event.type === 'member.removed' && event.data.userId === userId);

/** A message in a channel that everybody is in: when it arrives, whatever was to come before it has come. */
const fence = async (sender: WireSession, channelId: ChannelId, sessions: readonly WireSession[]) => {
  const seq = await say(sender, channelId, `fence ${randomUUID()}`);
  await Promise.all(sessions.map((session) => reached(session, seq)));
  return seq;
};

describe.each(['public', 'private'] as const)('in a %s channel', (kind) => {
  let common: ChannelId;
  let channelId: ChannelId;
  let aliceSocket: WireSession;

  beforeAll(async () => {
    common = await world.channel('public', `common-${kind}`, alice, [bob, carol]);
    channelId = await world.channel(kind, `room-${kind}`, alice, [bob, carol]);
    aliceSocket = await world.wire(alice, 0);
  });
  afterAll(() => aliceSocket.close());

  it('a removed member learns of it, gets nothing more, and when added again nothing of the time between', async () => {
    const bobs = [await world.wire(bob, 0), await world.wire(bob, 1)];
    const carolSocket = await world.wire(carol, 1);
    await say(aliceSocket, channelId, 'first');
    const removedAt = await change(aliceSocket, 'member.remove', { userId: bob, channelId });
    await say(aliceSocket, channelId, 'while away 1');
    await say(carolSocket, channelId, 'while away 2');
    await fence(aliceSocket, common, [...bobs, carolSocket]);
    for (const session of bobs) {
      expect(texts(session).filter((text) => !text.startsWith('fence'))).toEqual(['first']);
      expect(removals(session, bob).map(({ seq }) => seq)).toEqual([removedAt]);
      const after = session.events.filter((event) => event.seq > removedAt);
      expect(after.filter((event) => event.channelId === channelId)).toEqual([]);
    }
    expect(texts(carolSocket)).toContain('while away 2');
    // and may neither write nor read
    const [bobSocket] = bobs as [WireSession];
    expect(await bobSocket.outcome(bobSocket.say(channelId, 'from outside'))).toMatchObject({
      t: 'rejected',
      code: 'MSG_CHANNEL_NOT_FOUND',
    });
    await world.quiet();
    const bobApi = await world.api(bob);
    expect((await bobApi.messages(channelId)).body).toMatchObject({ code: 'CHANNEL_NOT_FOUND' });
    expect((await bobApi.say(channelId, 'from outside', randomUUID())).body).toMatchObject({
      code: 'MSG_CHANNEL_NOT_FOUND',
    });

    const addedAt = await change(carolSocket, 'member.add', { userId: bob, channelId });
    await say(aliceSocket, channelId, 'back again');
    await fence(aliceSocket, common, bobs);
    for (const session of bobs) {
      const seen = texts(session).filter((text) => !text.startsWith('fence'));
      expect(seen).toEqual(['first', 'back again']);
      const between = session.events.filter(({ seq }) => seq > removedAt && seq < addedAt);
      expect(between.filter((event) => event.channelId === channelId)).toEqual([]);
    }
    await world.quiet();
    const history = (await bobApi.history(channelId)).map(({ text }) => text);
    expect(history).toEqual(
      kind === 'private' ? ['back again'] : ['first', 'while away 1', 'while away 2', 'back again'],
    );
    await Promise.all([...bobs, carolSocket].map((session) => session.close()));
  });

  it('a member removed while offline learns of it on resume and is given nothing from after it', async () => {
    const online = await world.wire(carol, 0);
    await say(aliceSocket, channelId, 'carol is here');
    await fence(aliceSocket, common, [online]);
    const cursor = online.cursor();
    await online.close();

    await say(aliceSocket, channelId, 'missed while a member');
    const removedAt = await change(aliceSocket, 'member.remove', { userId: carol, channelId });
    await say(aliceSocket, channelId, 'not for carol');
    const end = await say(aliceSocket, common, 'common after the removal');

    for (const gateway of [0, 1]) {
      const resumed = await world.wire(carol, gateway, { cursor });
      expect((await resumed.welcome()).resume).toBe('replayed');
      await reached(resumed, end);
      expect(texts(resumed)).toEqual(['missed while a member', 'common after the removal']);
      expect(removals(resumed, carol).map(({ seq }) => seq)).toEqual([removedAt]);
      await resumed.close();
    }
  });

  it('a member removed and added again while offline is given the two memberships and nothing between', async () => {
    await change(aliceSocket, 'member.remove', { userId: bob, channelId }).catch(() => 0);
    await change(aliceSocket, 'member.add', { userId: bob, channelId });
    const online = await world.wire(bob, 1);
    await fence(aliceSocket, common, [online]);
    const cursor = online.cursor();
    await online.close();

    await say(aliceSocket, channelId, 'member still');
    await change(aliceSocket, 'member.remove', { userId: bob, channelId });
    await say(aliceSocket, channelId, 'between');
    await change(aliceSocket, 'member.add', { userId: bob, channelId });
    const end = await say(aliceSocket, channelId, 'member again');

    for (const gateway of [0, 1]) {
      const resumed = await world.wire(bob, gateway, { cursor });
      await reached(resumed, end);
      expect(texts(resumed)).toEqual(['member still', 'member again']);
      await resumed.close();
    }
    await world.quiet();
    const history = (await (await world.api(bob)).history(channelId)).map(({ text }) => text);
    if (kind === 'private') expect(history).toEqual(['member again']);
    else expect(history).toContain('between');
  });
});

describe('a team', () => {
  it('lets a removed member go: the socket ends with 4502, nothing opens again, nothing is read', async () => {
    const common = await world.channel('public', 'team-common', alice, [dora]);
    const [aliceSocket, doraSocket] = [await world.wire(alice, 0), await world.wire(dora, 1)];
    await say(aliceSocket, common, 'dora hears this');
    const removedAt = await change(aliceSocket, 'member.remove', { userId: dora });
    await say(aliceSocket, common, 'dora does not hear this');
    expect((await doraSocket.closed).code).toBe(4502);
    expect(texts(doraSocket)).toEqual(['dora hears this']);
    expect(doraSocket.events.at(-1)).toMatchObject({ type: 'team.member_removed', seq: removedAt });
    await world.quiet();
    await expect(world.wire(dora, 0)).rejects.toThrow(/4502/);
    await expect(world.wire(dora, 1, { cursor: doraSocket.cursor() })).rejects.toThrow(/4502/);
    const api = await world.api(dora);
    expect(await api.messages(common)).toMatchObject({ status: 404, body: { code: 'TEAM_NOT_FOUND' } });
    expect(await api.channels()).toMatchObject({ status: 404, body: { code: 'TEAM_NOT_FOUND' } });
    await aliceSocket.close();
  });

  it('keeps a private channel from members who never were in it', async () => {
    const secret = await world.channel('private', 'secret', alice, [bob]);
    const common = await world.channel('public', 'secret-common', alice, [carol]);
    const [aliceSocket, carolSocket] = [await world.wire(alice, 0), await world.wire(carol, 0)];
    await say(aliceSocket, secret, 'not for carol');
    await fence(aliceSocket, common, [carolSocket]);
    expect(carolSocket.events.filter((event) => event.channelId === secret)).toEqual([]);
    const join = await carolSocket.outcome(carolSocket.command('channel.join', { channelId: secret }));
    expect(join).toMatchObject({ t: 'rejected', code: 'CHANNEL_NOT_FOUND' });
    await world.quiet();
    const api = await world.api(carol);
    expect(await api.messages(secret)).toMatchObject({ status: 404, body: { code: 'CHANNEL_NOT_FOUND' } });
    expect(await api.members(secret)).toMatchObject({ status: 404, body: { code: 'CHANNEL_NOT_FOUND' } });
    const listed = (await api.channels()).body.channels.map(({ id }) => id);
    expect(listed).not.toContain(secret);
    await Promise.all([aliceSocket, carolSocket].map((session) => session.close()));
  });

  it('leaves a log without a violation', async () => {
    await world.quiet();
    const log = await readLog(world.databaseUrl, world.partition);
    const violations = checkHistory({
      teamId: world.teamId,
      log,
      stream: [],
      commands: await world.commands(),
      sends: [],
      observers: [],
      api: [],
    });
    expect(violations, describeViolations(violations)).toEqual([]);
  });
});
