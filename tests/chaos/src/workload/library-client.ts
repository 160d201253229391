/** A client on `libs/client`: it writes without waiting for outcomes, and the library does what it promises to do. */

import { createChatClient } from '@chat/client/chat-client';
import type { ChannelId } from '@chat/contracts/ids';
import { digest } from '../digest.ts';
import type { LineFields } from '../history-line.ts';
import type { ClientDeps, Known, LoadClient } from './client.ts';

export type LibraryClientDeps = ClientDeps & {
  readonly gatewayUrls: readonly string[];
  readonly apiUrl: string;
};

/** Messages without outcome at which it stops to write for the moment. */
const PENDING_MAX_COUNT = 100;

export const createLibraryClient = (deps: LibraryClientDeps): LoadClient & { readonly known: Known } => {
  const { name, teamId, userId, recorder } = deps;
  const sends = new Set<string>();
  const known: Known = new Map();
  let socket: WebSocket | undefined;
  let conn = 0;
  let lastSeq: number | undefined;

  const note = (fields: Omit<LineFields, 'client' | 'conn' | 'team' | 'user'>): void =>
    recorder.write({ client: name, conn, team: teamId, user: userId, ...fields });

  const client = createChatClient({
    gatewayUrls: deps.gatewayUrls,
    apiUrl: deps.apiUrl,
    teamId,
    getToken: deps.token,
    device: 'chaos-library',
    openSocket: (url, protocol) => {
      conn += 1;
      note({ op: 'connect', type: 'invoke' });
      socket = new WebSocket(url, protocol);
      return socket as never;
    },
  });
  client.on('snapshot', ({ head, reason }) => {
    if (lastSeq !== undefined) note({ op: 'cursor', type: 'info', seq: lastSeq });
    lastSeq = head;
    note({ op: 'connect', type: 'ok', seq: head, detail: `snapshot ${reason}` });
  });
  client.on('resumed', ({ fromSeq, head }) => {
    note({ op: 'connect', type: 'ok', seq: head, from: fromSeq, detail: 'replayed' });
  });
  client.on('event', (event) => {
    note({ op: 'deliver', type: 'ok', seq: event.seq, hash: digest(JSON.stringify(event)) });
    lastSeq = event.seq;
    if (event.type === 'message.sent' && event.channelId) {
      known.set(event.channelId, { channelSeq: event.channelSeq ?? 0, seq: event.seq });
    }
  });
  client.on('held', ({ id, code }) => {
    if (sends.has(id)) note({ op: 'send', type: 'info', msgId: id, code });
  });
  client.on('verdict', (verdict) => {
    const op = sends.delete(verdict.id) ? 'send' : 'command';
    if (verdict.kind === 'persisted') {
      const { id: msgId, seq, duplicate: isDuplicate } = verdict;
      note({ op, type: 'ok', msgId, seq, isDuplicate });
    } else {
      const { id: msgId, seq, code } = verdict;
      note({ op, type: 'fail', msgId, code, ...(seq === undefined ? {} : { seq }) });
    }
  });

  return {
    name,
    teamId,
    userId,
    known,
    isListener: true,
    start: () => void client.start(),
    isReady: () => client.state().kind === 'live',
    pendingCount: () => sends.size,
    seenSeq: () => client.cursor()?.seq ?? 0,
    send: (channelId: ChannelId, text) => {
      if (sends.size >= PENDING_MAX_COUNT) return false;
      const result = client.send(channelId, text);
      if (!result.ok) return false;
      sends.add(result.id);
      note({ op: 'send', type: 'invoke', msgId: result.id, channel: channelId, text });
      return true;
    },
    mark: (channelId) => {
      const channelSeq = known.get(channelId)?.channelSeq;
      if (channelSeq !== undefined) client.markRead(channelId, channelSeq);
    },
    reconnect: () => {
      const wasLive = client.state().kind === 'live';
      socket?.close();
      return wasLive;
    },
    stop: async () => {
      const seq = client.cursor()?.seq;
      if (seq !== undefined) note({ op: 'cursor', type: 'ok', seq });
      await client.stop();
    },
  };
};
