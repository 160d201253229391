/** One id is one message for ever: whatever the entry, the number of sends and the age of the repeat. */

import { randomUUID } from 'node:crypto';
import type { MessageView, SendMessageResponse } from '@chat/contracts/http';
import type { ChannelId } from '@chat/contracts/ids';
import { cmdStream } from '@chat/contracts/streams';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { query, withJetStream } from '@chat/testkit/checking/collect';
import { eventually } from '@chat/testkit/checking/eventually';
import { restartAll } from './operations.ts';
import type { WireSession } from '@chat/testkit/checking/wire-session';
import { type World, explainFailures, startWorld, user } from './world.ts';

const alice = user('alice');
const bob = user('bob');
const EACH_ENTRY = 25;

let world: World;
let channelId: ChannelId;

beforeAll(async () => {
  world = await startWorld({ users: [alice, bob] });
  channelId = await world.channel('public', 'once', alice, [bob]);
}, 60_000);

explainFailures(() => world);
afterAll(async () => world?.[Symbol.asyncDispose]());

const rowsOf = (id: string) =>
  query<{ id: string; type: string; payload: string }>(
    world.databaseUrl,
    'SELECT id, type, payload FROM event_log WHERE p = $1 AND command_id = $2 ORDER BY id',
    [world.partition, id],
  );
const messageRowsOf = async (id: string) => (await rowsOf(id)).filter(({ type }) => type === 'message.sent');

/** Sends one wish over 25 sockets at both gateways and by 25 requests, all at once. */
const sendEverywhere = async (id: string, text: string) => {
  const sessions = await Promise.all(Array.from({ length: EACH_ENTRY }, (_, i) => world.wire(alice, i % 2)));
  const api = await world.api(alice);
  const socketAnswers = sessions.map((session) => {
    session.say(channelId, text, id);
    return session.outcome(id, 20_000);
  });
  const httpAnswers = sessions.map(() => api.say(channelId, text, id));
  const answers = { ws: await Promise.all(socketAnswers), http: await Promise.all(httpAnswers) };
  await Promise.all(sessions.map((session) => session.close()));
  return answers;
};

const viewOf = ({ body }: { body: SendMessageResponse }): MessageView => body.message;

describe('one id', () => {
  it('sent 50 times at once over both entries is one row with 50 equal answers', async () => {
    for (let round = 0; round < 3; round += 1) {
      const id = randomUUID();
      const { ws, http } = await sendEverywhere(id, `round ${round}`);
      const rows = await messageRowsOf(id);
      expect(rows).toHaveLength(1);
      const seq = Number(rows[0]?.id);
      expect(ws.map((frame) => (frame.t === 'persisted' ? frame.seq : frame.code))).toEqual(
        Array.from({ length: EACH_ENTRY }, () => seq),
      );
      expect(http.map(({ status }) => status).filter((status) => status !== 200 && status !== 201)).toEqual(
        [],
      );
      expect(http.filter(({ status }) => status === 201).length).toBeLessThanOrEqual(1);
      const views = new Set(http.map((answer) => JSON.stringify(viewOf(answer))));
      expect(views.size).toBe(1);
      expect(viewOf(http[0]!)).toMatchObject({ id, seq, actor: alice, text: `round ${round}`, channelId });
      expect(
        await query(world.databaseUrl, 'SELECT 1 FROM command WHERE command_id = $1', [id]),
      ).toHaveLength(1);
    }
  });

  it('in two bodies at once is one of the two, and every sender of the other is refused', async () => {
    const id = randomUUID();
    const sessions = await Promise.all([0, 1, 0, 1].map((gateway) => world.wire(alice, gateway)));
    const outcomes = await Promise.all(
      sessions.map((session, i) => {
        session.say(channelId, i < 2 ? 'one' : 'two', id);
        return session.outcome(id, 20_000);
      }),
    );
    const [row, more] = await messageRowsOf(id);
    expect(more).toBeUndefined();
    const stored = (JSON.parse(row?.payload ?? '{}') as { data: { text: string } }).data.text;
    outcomes.forEach((outcome, i) => {
      const mine = (i < 2 ? 'one' : 'two') === stored;
      if (mine) expect(outcome).toMatchObject({ t: 'persisted', seq: Number(row?.id) });
      else expect(outcome).toMatchObject({ t: 'rejected', code: 'MSG_DUPLICATE_SEND', retryable: false });
    });
    await Promise.all(sessions.map((session) => session.close()));
  });

  it.each(['ws', 'http'] as const)(
    'first sent over %s is refused to another body and another sender on both entries',
    async (first) => {
      const id = randomUUID();
      const [aliceSocket, bobSocket] = [await world.wire(alice, 0), await world.wire(bob, 1)];
      const [aliceApi, bobApi] = [await world.api(alice), await world.api(bob)];
      if (first === 'ws') {
        aliceSocket.say(channelId, 'mine', id);
        expect(await aliceSocket.outcome(id)).toMatchObject({ t: 'persisted' });
      } else {
        expect((await aliceApi.say(channelId, 'mine', id)).status).toBe(201);
      }
      const refused = { code: 'MSG_DUPLICATE_SEND', retryable: false };
      expect(await aliceApi.say(channelId, 'other', id)).toMatchObject({ status: 409, body: refused });
      expect(await bobApi.say(channelId, 'mine', id)).toMatchObject({ status: 409, body: refused });
      const otherBody = await world.wire(alice, 1);
      otherBody.say(channelId, 'another', id);
      expect(await otherBody.outcome(id)).toMatchObject({ t: 'rejected', ...refused });
      bobSocket.say(channelId, 'mine', id);
      expect(await bobSocket.outcome(id)).toMatchObject({ t: 'rejected', ...refused });
      expect(await messageRowsOf(id)).toHaveLength(1);
      // The sender's own repeat still hears the first outcome after all these misuses.
      expect((await aliceApi.say(channelId, 'mine', id)).status).toBe(200);
      await Promise.all([aliceSocket, bobSocket, otherBody].map((session) => session.close()));
    },
  );

  it('is still one message after every process restarted and the broker forgot it, and its sender is told', async () => {
    const [overWs, overHttp] = [randomUUID(), randomUUID()];
    const session = await world.wire(alice, 0);
    session.say(channelId, 'kept', overWs);
    const first = await session.outcome(overWs);
    const api = await world.api(alice);
    const original = await api.say(channelId, 'kept too', overHttp);
    expect(first).toMatchObject({ t: 'persisted' });
    expect(original.status).toBe(201);
    await world.quiet();

    await restartAll(world, () =>
      withJetStream(world.nats, async ({ jsm }) => {
        await jsm.streams.delete(cmdStream(world.partition));
      }),
    );

    const again: WireSession = await eventually('a socket again', () => world.wire(alice, 1), {
      timeoutMs: 30_000,
    });
    again.say(channelId, 'kept', overWs);
    expect(await again.outcome(overWs, 20_000)).toEqual({ ...first, duplicate: true });
    again.say(channelId, 'kept too', overHttp);
    expect(await again.outcome(overHttp, 20_000)).toEqual({
      t: 'persisted',
      id: overHttp,
      seq: viewOf(original).seq,
      duplicate: true,
    });
    const repeat = await api.say(channelId, 'kept too', overHttp);
    expect(repeat).toEqual({ ...original, status: 200 });
    expect((await api.say(channelId, 'changed', overHttp)).body).toMatchObject({
      code: 'MSG_DUPLICATE_SEND',
    });
    expect(await messageRowsOf(overWs)).toHaveLength(1);
    expect(await messageRowsOf(overHttp)).toHaveLength(1);
    const history = await api.history(channelId);
    expect(history.filter(({ id }) => id === overWs || id === overHttp)).toHaveLength(2);
    await again.close();
  }, 90_000);
});
