/**
 * The client against a server that breaks the protocol in ways a real gateway cannot be told to: it leaves out
 * messages, sends rubbish, says nothing, dies in the middle. Real sockets and real HTTP; the real gateway and
 * api are met in tests/e2e.
 */

import { afterEach, expect, it } from 'vitest';
import { createChatClient } from './chat-client.ts';
import { createMemoryStorage } from './storage.ts';
import {
  closeAll,
  teamId,
  channelId,
  eventually,
  json,
  welcome,
  message,
  events,
  channelsAnswer,
  startFaulty,
  startClient,
  isLive,
  closers,
} from './testing/faulty-server.ts';

afterEach(closeAll);

it('a message that was left out is found, read from the api, and put in its place', async () => {
  const faulty = await startFaulty();
  faulty.onRequest = (url, response) => {
    if (url.pathname === '/api/v1/channels') return json(response, 200, channelsAnswer);
    const after = Number(url.searchParams.get('after'));
    const count = Number(url.searchParams.get('limit'));
    const messages = Array.from({ length: count }, (_, i) => message(after + 1 + i));
    json(response, 200, { epoch: 'e1', asOf: 15, messages, hasMoreBefore: true, hasMoreAfter: true });
  };
  const client = await startClient(faulty);
  const gaps: unknown[] = [];
  const repairs: unknown[] = [];
  client.on('gap', (gap) => gaps.push(gap));
  client.on('repaired', (repair) => repairs.push(repair));
  await eventually(isLive(client), 'live');
  faulty.sessions[0]?.socket.send(events(1, 2, 5));
  await eventually(() => repairs.length === 1, 'repaired');
  expect(gaps).toEqual([{ channelId, from: 3, to: 4 }]);
  expect(repairs).toEqual([{ channelId, from: 3, to: 4, foundCount: 2 }]);
  expect(client.messages(channelId).map(({ channelSeq }) => channelSeq)).toEqual([1, 2, 3, 4, 5]);
  expect(faulty.requests.at(-1)).toContain('minSeq=15');
});

it('rubbish from the gateway changes nothing and the session goes on', async () => {
  const faulty = await startFaulty();
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  const socket = faulty.sessions[0]?.socket;
  for (const rubbish of ['', '{', '[]', 'null', '42', '{"t":7}', '{"t":"unheard of"}']) socket?.send(rubbish);
  socket?.send(Buffer.from([0xff, 0xfe]));
  socket?.send(events(1));
  await eventually(() => client.messages(channelId).length === 1, 'the message');
  expect(faulty.sessions).toHaveLength(1);
});

it('a gateway that falls silent is given up after two heartbeats, and what was sent goes again', async () => {
  const faulty = await startFaulty();
  faulty.onFrame = (socket, frame) => {
    if (frame.t === 'hello') {
      const resume = frame.cursor ? { resume: 'replayed', head: frame.cursor.seq } : {};
      socket.send(welcome({ heartbeatMs: 50, ...resume }));
    }
    if (frame.t === 'cmd' && faulty.sessions.length > 1) {
      socket.send(JSON.stringify({ t: 'persisted', id: frame.id, seq: 11 }));
    }
  };
  const client = await startClient(faulty);
  const sent = client.send(channelId, 'hello');
  expect(await client.outcome(sent.id)).toMatchObject({ kind: 'persisted', seq: 11 });
  const ids = faulty.sessions.flatMap(({ frames }) =>
    frames.flatMap((frame) => (frame.t === 'cmd' ? [frame.id] : [])),
  );
  expect(new Set(ids)).toEqual(new Set([sent.id]));
});

it('a gateway that dies in the middle of a frame costs nothing', async () => {
  const faulty = await startFaulty();
  faulty.onFrame = (socket, frame) => {
    if (frame.t !== 'hello') return;
    const seq = frame.cursor?.seq;
    socket.send(seq === undefined ? welcome() : welcome({ resume: 'replayed', head: 12 }));
    if (seq !== undefined) socket.send(events(...[1, 2].filter((channelSeq) => 10 + channelSeq > seq)));
  };
  const client = await startClient(faulty);
  const seen: number[] = [];
  client.on('event', ({ seq }) => seen.push(seq));
  await eventually(isLive(client), 'live');
  const socket = faulty.sessions[0]?.socket;
  socket?.send(events(1));
  await eventually(() => seen.length === 1, 'the first event');
  // The head of a frame that never comes whole.
  (socket as unknown as { _socket: { write: (bytes: Buffer) => void } })._socket.write(
    Buffer.from([0x81, 0x7e, 0x10, 0x00, 0x7b]),
  );
  socket?.terminate();
  await eventually(() => seen.length === 2, 'the second event');
  expect(seen).toEqual([11, 12]);
});

it('a snapshot is asked for until the api gives it, and the same epoch is insisted on', async () => {
  const faulty = await startFaulty();
  const answers = [
    { status: 503, body: { code: 'READ_MODEL_BEHIND', message: '', retryable: true, retryAfterMs: 1 } },
    { status: 500, body: 'not an error body' },
    { status: 200, body: channelsAnswer },
  ];
  faulty.onRequest = (_url, response) => {
    const answer = answers.shift() ?? { status: 200, body: channelsAnswer };
    json(response, answer.status, answer.body);
  };
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  expect(faulty.requests).toHaveLength(3);
  expect(faulty.requests[0]).toBe(`/api/v1/channels?teamId=${teamId}&epoch=e1&minSeq=10`);
  expect(client.channels().map(({ name }) => name)).toEqual(['one']);
});

it('a read model of another epoch sends the client back for a new welcome', async () => {
  const faulty = await startFaulty();
  faulty.onFrame = (socket, frame) => {
    if (frame.t === 'hello') socket.send(welcome({ epoch: faulty.sessions.length > 1 ? 'e2' : 'e1' }));
  };
  faulty.onRequest = (_url, response) => json(response, 200, { ...channelsAnswer, epoch: 'e2' });
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  expect(faulty.sessions).toHaveLength(2);
  expect(client.cursor()?.epoch).toBe('e2');
});

it('a refusal that came after an earlier send was lost is decided by the command entry of the api', async () => {
  const faulty = await startFaulty();
  faulty.onFrame = (socket, frame) => {
    if (frame.t === 'hello')
      socket.send(welcome(frame.cursor ? { resume: 'replayed', head: frame.cursor.seq } : {}));
    if (frame.t !== 'cmd') return;
    if (faulty.sessions.length === 1) return socket.terminate();
    const refusal = { code: 'MSG_CHANNEL_NOT_FOUND', message: '', retryable: false };
    socket.send(JSON.stringify({ t: 'rejected', id: frame.id, ...refusal }));
  };
  const commandAnswers = [
    { status: 503, body: { code: 'UNAVAILABLE', message: '', retryable: true, retryAfterMs: 1 } },
    { status: 202, body: { status: 'accepted', id: 'x' } },
    { status: 200, body: { id: 'x', epoch: 'e1', seq: 7 } },
  ];
  faulty.onRequest = (url, response) => {
    if (url.pathname !== '/api/v1/commands') return json(response, 200, channelsAnswer);
    const answer = commandAnswers.shift();
    json(response, answer?.status ?? 500, answer?.body);
  };
  const client = await startClient(faulty);
  const sent = client.send(channelId, 'hello');
  expect(await client.outcome(sent.id)).toEqual({ kind: 'persisted', id: sent.id, seq: 7, duplicate: true });
  expect(commandAnswers).toEqual([]);
});

it('what was not persisted outlives the process and is sent under its old id, in order, before newer ones', async () => {
  const faulty = await startFaulty();
  const storage = createMemoryStorage();
  const first = await startClient(faulty, { storage });
  await eventually(isLive(first), 'live');
  const old = [first.send(channelId, 'one'), first.send(channelId, 'two')].map(({ id }) => id);
  // Gone without a word, as a killed process is: only what was written by now remains.
  const left = storage.text();
  await first.stop();
  const sessionCount = faulty.sessions.length;
  faulty.onFrame = (socket, frame) => {
    if (frame.t === 'hello')
      socket.send(welcome(frame.cursor ? { resume: 'replayed', head: frame.cursor.seq } : {}));
    if (frame.t === 'cmd') socket.send(JSON.stringify({ t: 'accepted', id: frame.id }));
  };
  const second = createChatClient({
    gatewayUrls: [faulty.gatewayUrl],
    apiUrl: faulty.apiUrl,
    teamId,
    getToken: () => Promise.resolve('token'),
    storage: createMemoryStorage(left),
  });
  closers.push(() => second.stop());
  const newer = second.send(channelId, 'three').id;
  expect(second.outgoing(channelId).map(({ text }) => text)).toEqual(['three']);
  await second.start();
  const ids = (): readonly string[] =>
    faulty.sessions
      .slice(sessionCount)
      .flatMap(({ frames }) => frames.flatMap((frame) => (frame.t === 'cmd' ? [frame.id] : [])));
  await eventually(() => ids().length >= 3, 'three commands');
  expect(ids()).toEqual([...old, newer]);
  expect(second.outgoing(channelId).map(({ text }) => text)).toEqual(['one', 'two', 'three']);
});

it('a gateway that refuses the connection is tried again, the next one first', async () => {
  const faulty = await startFaulty();
  const dead = await startFaulty();
  await closers.pop()?.();
  const urls: string[] = [];
  const client = createChatClient({
    gatewayUrls: [dead.gatewayUrl, faulty.gatewayUrl],
    apiUrl: faulty.apiUrl,
    teamId,
    getToken: () => Promise.resolve('token'),
    random: () => 0.01,
  });
  closers.push(() => client.stop());
  client.on('state', (state) => {
    if (state.kind === 'connecting') urls.push(state.gatewayUrl);
  });
  await client.start();
  await eventually(isLive(client), 'live');
  expect(urls).toEqual([dead.gatewayUrl, faulty.gatewayUrl]);
});

it('a token that cannot be had is a failed attempt, not an end', async () => {
  const faulty = await startFaulty();
  let count = 0;
  const getToken = (): Promise<string> => {
    count += 1;
    return count === 1 ? Promise.reject(new Error('no token')) : Promise.resolve('token');
  };
  const client = await startClient(faulty, { getToken });
  await eventually(isLive(client), 'live');
  expect(faulty.sessions[0]?.frames[0]).toEqual({ t: 'hello', token: 'token' });
});

it('listeners that throw and a storage that fails are reported and harm nothing', async () => {
  const faulty = await startFaulty();
  const faults: string[] = [];
  const storage = {
    load: () => undefined,
    save: () => {
      throw new Error('quota');
    },
  };
  const client = await startClient(faulty, { storage });
  client.on('fault', ({ where }) => faults.push(where));
  client.on('message', () => {
    throw new Error('listener');
  });
  await eventually(isLive(client), 'live');
  faulty.sessions[0]?.socket.send(events(1, 2));
  client.send(channelId, 'x');
  await eventually(() => client.messages(channelId).length === 2, 'both messages');
  expect(new Set(faults)).toEqual(new Set(['storage', 'listener']));
});
