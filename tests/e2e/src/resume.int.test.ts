/** I4 and I5 where streams vanish and gateways die: same numbers again, nothing lost, nothing twice. */

import { randomUUID } from 'node:crypto';
import type { Cursor } from '@chat/contracts/frames';
import type { ChannelId } from '@chat/contracts/ids';
import { cmdStream, evtStream } from '@chat/contracts/streams';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkHistory, describeViolations } from '@chat/testkit/checking/checker';
import { readLog, readStream, streamInfo, withJetStream } from '@chat/testkit/checking/collect';
import { eventually } from '@chat/testkit/checking/eventually';
import type { Observer, Send } from '@chat/testkit/checking/history';
import { startLoad } from './load.ts';
import type { WireSession } from '@chat/testkit/checking/wire-session';
import { type World, explainFailures, startWorld, user } from './world.ts';

const alice = user('alice');
const bob = user('bob');

let world: World;
let channelId: ChannelId;
const observers: Observer[] = [];
const sends: Send[] = [];

beforeAll(async () => {
  world = await startWorld({ users: [alice, bob] });
  channelId = await world.channel('public', 'general', alice, [bob]);
}, 60_000);

explainFailures(() => world);
afterAll(async () => world?.[Symbol.asyncDispose]());

/** Sends one text, again with the same id over new sockets until its outcome is known, as a client would. */
const sayUntilKnown = async (text: string, timeoutMs = 30_000): Promise<Send> => {
  const id = randomUUID();
  const frame = await eventually(
    `the outcome of "${text}"`,
    async () => {
      for (const gateway of [0, 1]) {
        const session = await world.wire(alice, gateway).catch(() => undefined);
        if (!session) continue;
        session.say(channelId, text, id);
        const outcome = await session.outcome(id, 5_000).catch(() => undefined);
        session.terminate();
        if (outcome && !(outcome.t === 'rejected' && outcome.retryable)) return outcome;
      }
      return undefined;
    },
    { timeoutMs },
  );
  const verdict =
    frame.t === 'persisted'
      ? ({ kind: 'persisted', seq: frame.seq, duplicate: frame.duplicate ?? false } as const)
      : ({ kind: 'rejected', code: frame.code, seq: frame.seq } as const);
  const send = { sender: alice, order: sends.length, id: id as Send['id'], channelId, text, verdict };
  sends.push(send);
  return send;
};

const expectSound = async (): Promise<void> => {
  await world.quiet(30_000);
  const violations = checkHistory({
    teamId: world.teamId,
    log: await readLog(world.databaseUrl, world.partition),
    stream: await readStream(world.nats, world.partition),
    commands: await world.commands(),
    sends,
    observers,
    api: [{ userId: bob, channelId, messages: await (await world.api(bob)).history(channelId) }],
  });
  expect(violations, describeViolations(violations)).toEqual([]);
};

const observed = (name: string, session: WireSession, afterSeq: number): Observer => ({
  name,
  userId: bob,
  afterSeq,
  upToSeq: session.cursor().seq,
  deliveries: session.deliveries,
});

/** Opens `bob` with the cursor and waits until he has everything up to the end of the log. */
const resumeToEnd = async (name: string, gateway: number, cursor: Cursor) => {
  const end = (await sayUntilKnown(`the end for ${name}`)).verdict;
  const session = await eventually('a resumed socket', () => world.wire(bob, gateway, { cursor }), {
    timeoutMs: 30_000,
  });
  expect((await session.welcome()).resume).toBe('replayed');
  await eventually(`${name} has all`, () => end?.kind === 'persisted' && session.cursor().seq >= end.seq);
  observers.push(observed(name, session, cursor.seq));
  return session;
};

describe('resume', () => {
  it('works on the other gateway and gives everything up to head, each once', async () => {
    const first = await world.wire(bob, 0);
    const cursor = first.cursor();
    await first.close();
    for (let i = 0; i < 30; i += 1) await sayUntilKnown(`offline ${i}`);
    for (const gateway of [1, 0]) {
      const session = await resumeToEnd(`bob at gateway ${gateway}`, gateway, cursor);
      await session.close();
    }
    await expectSound();
  });

  it('loses nothing when EVT is wiped: the same events come again under the same numbers', async () => {
    const before = await world.wire(bob, 1);
    const cursor = before.cursor();
    await before.close();
    for (let i = 0; i < 10; i += 1) await sayUntilKnown(`before the wipe ${i}`);
    await world.quiet();
    const whole = await readStream(world.nats, world.partition);
    const live = await world.wire(bob, 0);
    const liveFrom = live.cursor();

    await withJetStream(
      world.nats,
      async ({ jsm }) => void (await jsm.streams.delete(evtStream(world.partition))),
    );
    await sayUntilKnown('after the wipe', 40_000);
    await world.quiet(40_000);
    const again = await readStream(world.nats, world.partition);
    expect(again.filter(({ seq }) => seq <= whole.length)).toEqual(
      whole.filter(({ seq }) => seq >= (again[0]?.seq ?? 1)),
    );
    expect(again[0]?.seq).toBe(1);
    const session = await resumeToEnd('bob after EVT was wiped', 1, cursor);
    await eventually('the live socket went on', () => live.cursor().seq >= session.cursor().seq);
    observers.push(observed('bob live while EVT was wiped', live, liveFrom.seq));
    await Promise.all([session.close(), live.close()]);
    await expectSound();
  }, 90_000);

  it('CMD wiped with commands in it: the repeats of their sender lead to one message each', async () => {
    const session = await world.wire(alice, 0);
    world.stack.pause('writer-1');
    const ids = Array.from({ length: 5 }, (_, i) => session.say(channelId, `wiped ${i}`));
    await Promise.all(
      ids.map((id) =>
        session.frame(`${id} accepted`, (f) => (f.t === 'accepted' && f.id === id ? true : undefined)),
      ),
    );
    await withJetStream(
      world.nats,
      async ({ jsm }) => void (await jsm.streams.delete(cmdStream(world.partition))),
    );
    world.stack.resume('writer-1');
    // The writer makes the stream anew; the sender heard nothing and sends the same ids again, in order, until told.
    for (const [i, id] of ids.entries()) {
      const outcome = await eventually(
        `the outcome of repeat ${i}`,
        async () => {
          const repeat = await world.wire(alice, 1);
          repeat.say(channelId, `wiped ${i}`, id);
          const heard = await repeat.outcome(id, 4_000).catch(() => undefined);
          repeat.terminate();
          return heard?.t === 'persisted' ? heard : undefined;
        },
        { timeoutMs: 40_000 },
      );
      sends.push({
        sender: alice,
        order: sends.length,
        id,
        channelId,
        text: `wiped ${i}`,
        verdict: { kind: 'persisted', seq: outcome.seq, duplicate: outcome.duplicate ?? false },
      });
    }
    session.terminate();
    await sayUntilKnown('after CMD was wiped');
    await expectSound();
  }, 90_000);

  it('meets live without gap or double while gateways die in the middle of replays', async () => {
    const start = await world.wire(bob, 0);
    const cursor = start.cursor();
    await start.close();
    const load = await startLoad({
      world,
      user: alice,
      firstGateway: 1,
      channelIds: [channelId],
      everyMs: 5,
    });
    await eventually('there is something to replay', () => load.seen() > cursor.seq + 300);
    const device = world.device(bob, { cursor });
    for (let round = 0; round < 4; round += 1) {
      await eventually('bob is welcomed', () => device.session() !== undefined, { everyMs: 1 });
      // Two deaths at the first sign of the welcome, two when a little of the replay or of live has come.
      const seen = device.deliveries.length;
      if (round >= 2) {
        await eventually('a few events', () => device.deliveries.length > seen + 3, { everyMs: 1 });
      }
      const { welcomes, gateway } = { welcomes: device.welcomes.length, gateway: device.gateway() };
      await world.stack.kill(`gateway-${gateway + 1}`);
      await eventually('bob is on another gateway', () => device.welcomes.length > welcomes, { everyMs: 5 });
      await world.stack.start(`gateway-${gateway + 1}`);
      await world.stack.ready(`gateway-${gateway + 1}`);
    }
    const first = sends.length;
    sends.push(...(await load.stop()).map((send) => ({ ...send, order: first + send.order })));
    observers.push(load.observer());
    const end = await world.quiet(30_000);
    await eventually('bob has all', () => (device.cursor()?.seq ?? 0) >= end);
    expect(device.welcomes.map(({ resume }) => resume)).toEqual(device.welcomes.map(() => 'replayed'));
    observers.push(device.observer('bob through four deaths'));
    await Promise.all([device.stop(), load.abandon()]);
    await expectSound();
  }, 90_000);

  it('and live go on with PostgreSQL stopped; what is accepted meanwhile is persisted after', async () => {
    const cursor = (await world.wire(bob, 0)).cursor();
    for (let i = 0; i < 5; i += 1) await sayUntilKnown(`committed ${i}`);
    const end = await world.quiet();
    const aliceSocket = await world.wire(alice, 0);
    await world.stack.kill('postgres');

    for (const gateway of [0, 1]) {
      const resumed = await world.wire(bob, gateway, { cursor });
      expect((await resumed.welcome()).resume).toBe('replayed');
      await eventually('replayed without a database', () => resumed.cursor().seq >= end);
      observers.push(observed(`bob at gateway ${gateway} without PostgreSQL`, resumed, cursor.seq));
      await resumed.close();
    }
    const fresh = await world.wire(bob, 1);
    const ids = [0, 1, 2].map((i) => aliceSocket.say(channelId, `sent without a database ${i}`));
    for (const id of ids) {
      await aliceSocket.frame(`${id} accepted`, (f) =>
        f.t === 'accepted' && f.id === id ? true : undefined,
      );
    }
    expect(aliceSocket.frames.filter((f) => f.t === 'persisted')).toEqual([]);
    await world.stack.start('postgres');
    for (const [i, id] of ids.entries()) {
      const outcome = await aliceSocket.outcome(id, 30_000);
      if (outcome.t !== 'persisted') throw new Error(`${i}: ${outcome.code}`);
      sends.push({
        sender: alice,
        order: sends.length,
        id,
        channelId,
        text: `sent without a database ${i}`,
        verdict: { kind: 'persisted', seq: outcome.seq, duplicate: false },
      });
    }
    const lastSeq = await world.quiet(30_000);
    await eventually('bob hears of them live', () => fresh.cursor().seq >= lastSeq);
    await Promise.all([fresh.close(), aliceSocket.close()]);
    await expectSound();
    expect((await streamInfo(world.nats, evtStream(world.partition))).lastSeq).toBe(lastSeq);
  }, 90_000);
});
