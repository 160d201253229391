/**
 * A server that speaks the protocol as each test bids it, on real sockets and real HTTP, and a client of it.
 */

import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClientFrame } from '@chat/contracts/frames';
import type { ChannelId, TeamId } from '@chat/contracts/ids';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ChatClient, type ChatClientOptions, createChatClient } from '../chat-client.ts';

export const teamId = '00abcdefghjkmnpq' as TeamId;
export const channelId = '00000000-0000-7000-8000-00000000000a' as ChannelId;

export const eventually = async (check: () => boolean, what: string): Promise<void> => {
  const endMs = Date.now() + 10_000;
  while (!check()) {
    if (Date.now() > endMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

export type Faulty = {
  readonly gatewayUrl: string;
  readonly apiUrl: string;
  readonly sessions: { readonly socket: WebSocket; readonly frames: ClientFrame[] }[];
  readonly requests: string[];
  onFrame: (socket: WebSocket, frame: ClientFrame) => void;
  onRequest: (url: URL, response: ServerResponse) => void;
};

export const closers: (() => Promise<unknown>)[] = [];

/** To be given to `afterEach` of a file that uses this. */
export const closeAll = async (): Promise<void> => {
  for (const close of closers.splice(0).reverse()) await close();
};

export const json = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

export const welcome = (over: Record<string, unknown> = {}): string =>
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

export const message = (channelSeq: number): Record<string, unknown> => ({
  id: `00000000-0000-7000-8000-${String(channelSeq).padStart(12, '0')}`,
  channelId,
  channelSeq,
  seq: 10 + channelSeq,
  actor: 'bob',
  at: 1,
  text: `text ${channelSeq}`,
});

export const event = (channelSeq: number): Record<string, unknown> => {
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

export const events = (...channelSeqs: readonly number[]): string =>
  JSON.stringify({ t: 'events', events: channelSeqs.map(event) });

export const channelsAnswer = {
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

export const startFaulty = async (): Promise<Faulty> => {
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

export const startClient = async (
  faulty: Faulty,
  over: Partial<ChatClientOptions> = {},
): Promise<ChatClient> => {
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

export const isLive = (client: ChatClient) => (): boolean => client.state().kind === 'live';
