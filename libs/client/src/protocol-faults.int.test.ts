/**
 * The client against a server that breaks the protocol in ways a real gateway cannot be told to: it leaves out
 * messages, sends rubbish, says nothing, dies in the middle. Real sockets and real HTTP; the real gateway and
 * api are met in tests/e2e.
 */

import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClientFrame } from '@chat/contracts/frames';
import type { ChannelId, TeamId } from '@chat/contracts/ids';
import { afterEach, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ChatClient, type ChatClientOptions, createChatClient } from './chat-client.ts';
import { createMemoryStorage } from './storage.ts';

const teamId = '00abcdefghjkmnpq' as TeamId;
const channelId = '00000000-0000-7000-8000-00000000000a' as ChannelId;

const eventually = async (check: () => boolean, what: string): Promise<void> => {
  const endMs = Date.now() + 10_000;
  while (!check()) {
    if (Date.now() > endMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

type Faulty = {
  readonly gatewayUrl: string;
  readonly apiUrl: string;
  readonly sessions: { readonly socket: WebSocket; readonly frames: ClientFrame[] }[];
  readonly requests: string[];
  onFrame: (socket: WebSocket, frame: ClientFrame) => void;
  onRequest: (url: URL, response: ServerResponse) => void;
};

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const json = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

const welcome = (over: Record<string, unknown> = {}): string =>
  JSON.stringify({
    t: 'welcome',
    teamId,
    userId: 'alice',
    sessionId: 's',
    epoch: 'e1',
    head: 10,
    resume: 'fresh',
    heartbeatMs: 15_000,
    limits: { frameMaxBytes: 65_536, textMaxBytes: 32_768, inFlightMaxCount: 256 },
    ...over,
  });

const message = (channelSeq: number): Record<string, unknown> => ({
  id: `00000000-0000-7000-8000-${String(channelSeq).padStart(12, '0')}`,
  channelId,
  channelSeq,
  seq: 10 + channelSeq,
  actor: 'bob',
  at: 1,
  text: `text ${channelSeq}`,
});

const event = (channelSeq: number): Record<string, unknown> => {
  const { id, seq, actor, at, text } = message(channelSeq);
  return {
    seq,
    type: 'message.sent',
    v: 1,
    at,
    channelId,
    channelSeq,
    commandId: id,
    hash: 'h',
    actor,
    data: { text },
  };
};

const events = (...channelSeqs: readonly number[]): string =>
  JSON.stringify({ t: 'events', events: channelSeqs.map(event) });

const channelsAnswer = {
  epoch: 'e1',
  asOf: 10,
  channels: [
    {
      id: channelId,
      kind: 'public',
      name: 'one',
      role: 'member',
      lastChannelSeq: 0,
      readUpTo: 0,
      unreadCount: 0,
      seq: 5,
    },
  ],
};

const startFaulty = async (): Promise<Faulty> => {
  const http = createServer((request: IncomingMessage, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    faulty.requests.push(url.pathname + url.search);
    request.resume().on('end', () => faulty.onRequest(url, response));
  });
  const sockets = new WebSocketServer({ server: http, handleProtocols: () => 'chat.v1' });
  sockets.on('connection', (socket) => {
    const session = { socket, frames: [] as ClientFrame[] };
    faulty.sessions.push(session);
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as ClientFrame;
      session.frames.push(frame);
      faulty.onFrame(socket, frame);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const faulty: Faulty = {
    gatewayUrl: `ws://127.0.0.1:${port}`,
    apiUrl: `http://127.0.0.1:${port}`,
    sessions: [],
    requests: [],
    onFrame: (socket, frame) => {
      if (frame.t === 'hello')
        socket.send(welcome(frame.cursor ? { resume: 'replayed', head: frame.cursor.seq } : {}));
    },
    onRequest: (_url, response) => json(response, 200, channelsAnswer),
  };
  closers.push(async () => {
    for (const { socket } of faulty.sessions) socket.terminate();
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  return faulty;
};

const startClient = async (faulty: Faulty, over: Partial<ChatClientOptions> = {}): Promise<ChatClient> => {
  const client = createChatClient({
    gatewayUrls: [faulty.gatewayUrl],
    apiUrl: faulty.apiUrl,
    teamId,
    getToken: () => Promise.resolve('token'),
    // The shortest waits that the protocol allows: what is tested is not how long they are.
    random: () => 0.01,
    ...over,
  });
  closers.push(() => client.stop());
  await client.start();
  return client;
};

const isLive = (client: ChatClient) => (): boolean => client.state().kind === 'live';

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
