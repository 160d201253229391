/** What a client does over the life of its token, a stop in the middle of a read, and a refusal. */

import { afterEach, expect, it } from 'vitest';
import type { Clock } from './clock.ts';
import {
  channelId,
  channelsAnswer,
  closeAll,
  eventually,
  events,
  isLive,
  json,
  message,
  startClient,
  startFaulty,
  welcome,
} from './testing/faulty-server.ts';

afterEach(closeAll);

const jwt = (lifeMs: number, nowMs: number, name: string): string => {
  const claims = { sub: name, iat: nowMs / 1_000, exp: (nowMs + lifeMs) / 1_000 };
  return `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
};

/** The system's clock, which a test can put forward: what became due is then run at once. */
const startClock = () => {
  type Timer = { readonly atMs: number; readonly run: () => void; handle?: NodeJS.Timeout };
  const timers = new Set<Timer>();
  let aheadMs = 0;
  const nowMs = (): number => Date.now() + aheadMs;
  const arm = (timer: Timer): void => {
    clearTimeout(timer.handle);
    timer.handle = setTimeout(() => fire(timer), Math.max(0, timer.atMs - nowMs()));
  };
  const cancel = (timer: Timer): void => {
    clearTimeout(timer.handle);
    timers.delete(timer);
  };
  const fire = (timer: Timer): void => {
    if (!timers.has(timer)) return;
    cancel(timer);
    timer.run();
  };
  const after: Clock['after'] = (delayMs, run) => {
    const timer: Timer = { atMs: nowMs() + delayMs, run };
    timers.add(timer);
    arm(timer);
    return () => cancel(timer);
  };
  const putForward = (byMs: number): void => {
    aheadMs += byMs;
    for (const timer of [...timers]) {
      if (timer.atMs <= nowMs()) fire(timer);
      else arm(timer);
    }
  };
  return { clock: { nowMs, after } satisfies Clock, putForward };
};

it('a session outlives its token: a new one is sent before the end, over and over, on the same socket', async () => {
  const faulty = await startFaulty();
  faulty.onFrame = (socket, frame) => {
    if (frame.t === 'hello') socket.send(welcome({ heartbeatMs: 86_400_000 }));
  };
  // Put forward only while the session is live: its connecting has its own, real, time.
  const { clock, putForward } = startClock();
  const tokens: string[] = [];
  const client = await startClient(faulty, {
    clock,
    getToken: ({ renew }) => {
      if (renew || tokens.length === 0) tokens.push(jwt(60_000, clock.nowMs(), `token ${tokens.length}`));
      return Promise.resolve(tokens.at(-1) ?? '');
    },
  });
  const sent = (): readonly (string | undefined)[] =>
    (faulty.sessions[0]?.frames ?? []).flatMap((frame) => (frame.t === 'reauth' ? [frame.token] : []));
  await eventually(isLive(client), 'live');
  for (const count of [1, 2, 3]) {
    putForward(20_000);
    expect(tokens).toHaveLength(count);
    putForward(35_000);
    await eventually(() => sent().length === count, `renewal ${count}`);
  }
  expect(tokens).toHaveLength(4);
  expect(sent()).toEqual(tokens.slice(1));
  expect(faulty.sessions).toHaveLength(1);
  expect(client.state().kind).toBe('live');
});

it('a page of an open channel that a stop cut off is read after the next start', async () => {
  const faulty = await startFaulty();
  let isMute = true;
  let askedCount = 0;
  faulty.onRequest = (url, response) => {
    if (url.pathname === '/api/v1/channels') return json(response, 200, channelsAnswer);
    askedCount += 1;
    if (isMute) return;
    const page = { epoch: 'e1', asOf: 11, hasMoreBefore: false, hasMoreAfter: false };
    json(response, 200, { ...page, messages: [message(1)] });
  };
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  const opening = client.openChannel(channelId);
  await eventually(() => askedCount === 1, 'asked');
  await client.stop();
  await opening;
  isMute = false;
  await client.start();
  await eventually(() => client.messages(channelId).length === 1, 'the page');
});

it('a channel list that a stop cut off after a join is read after the next start', async () => {
  const faulty = await startFaulty();
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  let isMute = true;
  let askedCount = 0;
  const joined = { ...channelsAnswer, asOf: 11 };
  faulty.onRequest = (_url, response) => {
    askedCount += 1;
    if (!isMute) json(response, 200, joined);
  };
  const data = { userId: 'alice', role: 'member' };
  const event = {
    seq: 11,
    type: 'member.added',
    v: 1,
    at: 1,
    channelId: 'unknown',
    commandId: 'c',
    actor: 'bob',
  };
  faulty.sessions[0]?.socket.send(JSON.stringify({ t: 'events', events: [{ ...event, data }] }));
  await eventually(() => askedCount === 1, 'asked');
  await client.stop();
  isMute = false;
  await client.start();
  await eventually(() => askedCount === 2, 'asked again');
  expect(faulty.requests.at(-1)).toContain('minSeq=11');
});

it('a message that was refused can be sent again, as a new one, and stands once in the channel', async () => {
  const faulty = await startFaulty();
  let isRefusing = true;
  faulty.onFrame = (socket, frame) => {
    if (frame.t === 'hello') return socket.send(welcome());
    if (frame.t !== 'cmd') return;
    const refusal = { code: 'MSG_CHANNEL_NOT_FOUND', message: 'no', retryable: false };
    if (isRefusing) return socket.send(JSON.stringify({ t: 'rejected', id: frame.id, seq: 11, ...refusal }));
    socket.send(JSON.stringify({ t: 'persisted', id: frame.id, seq: 12 }));
    socket.send(events(2).replaceAll(String(message(2)['id']), frame.id));
  };
  const client = await startClient(faulty);
  const first = client.send(channelId, 'text 2');
  expect(await client.outcome(first.id)).toMatchObject({ kind: 'rejected' });
  expect(client.outgoing(channelId)).toMatchObject([{ id: first.id, status: 'refused' }]);
  isRefusing = false;
  const again = client.sendAgain(first.id);
  expect(again).toMatchObject({ ok: true });
  expect(again?.id).not.toBe(first.id);
  expect(await client.outcome(again?.id ?? '')).toMatchObject({ kind: 'persisted' });
  await eventually(() => client.messages(channelId).length === 1, 'the message');
  expect(client.outgoing(channelId)).toEqual([]);
  expect(client.sendAgain(first.id)).toBeUndefined();
});
