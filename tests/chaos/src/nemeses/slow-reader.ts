/**
 * A device that reads 1 KB a second of a channel that gets a megabyte a second. It may cost the gateway a bounded
 * buffer and nobody else anything; when it reads on it gets every message once, in order, on this socket or the next.
 */

import { randomUUID } from 'node:crypto';
import type { Cursor, ServerFrame } from '@chat/contracts/frames';
import type { TeamId, UserId } from '@chat/contracts/ids';
import { eventually } from '@chat/testkit/checking/eventually';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';
import { WebSocket } from 'ws';
import type { Injection, Nemesis } from '../nemesis.ts';
import { type ThrottledSocket, connectThrottled } from './throttled-socket.ts';

const SLOW_BYTES_PER_S = 1_024;
const TEXT_CHARS = 30_000;
const CATCH_UP_TIMEOUT_MS = 30_000;
const WRITERS_COUNT = 4;
/** More than kernel buffers and the gateway's bound together take. */
const WRITTEN_MAX_BYTES = 12 * 1024 * 1024;

const isStored = (status: number): boolean => status === 200 || status === 201;

type Given = { readonly id: string; readonly seq: number };
type Reader = {
  readonly given: readonly Given[];
  /** Reasons for which it was told to read anew: then it was not promised every event. */
  readonly snapshots: readonly string[];
  readonly closes: readonly number[];
  /** It was welcomed once: what is written from now on is its to see. */
  readonly isListening: () => boolean;
  readonly readBytes: () => number;
  /** As fast as it comes, from now on and on every later socket. */
  readonly hurry: () => void;
  readonly stop: () => void;
};

const startReader = (stack: ChatStack, teamId: TeamId, token: string): Reader => {
  const given: Given[] = [];
  const closes: number[] = [];
  const snapshots: string[] = [];
  let rate = SLOW_BYTES_PER_S;
  let bytes = 0;
  let cursor: Cursor | undefined;
  let link: ThrottledSocket | undefined;
  let current: WebSocket | undefined;
  let isStopped = false;
  let turn = 0;
  const take = (frame: ServerFrame): void => {
    if (frame.t === 'welcome' && frame.resume !== 'replayed') {
      if (cursor) snapshots.push(frame.reason ?? frame.resume);
      cursor = { epoch: frame.epoch, seq: frame.head };
    }
    if (frame.t === 'tick' && cursor) cursor = { ...cursor, seq: Math.max(cursor.seq, frame.seq) };
    if (frame.t !== 'events') return;
    for (const event of frame.events) {
      if (cursor) cursor = { ...cursor, seq: event.seq };
      if (event.type === 'message.sent' && event.data.text.length === TEXT_CHARS) {
        given.push({ id: event.commandId, seq: event.seq });
      }
    }
  };
  const open = (): void => {
    if (isStopped) return;
    const url = new URL(stack.gatewayUrls[(turn += 1) % stack.gatewayUrls.length] ?? '');
    const opened = connectThrottled(url.hostname, Number(url.port), Infinity);
    link = opened;
    const socket = new WebSocket(`${url.origin.replace('http', 'ws')}/ws/${teamId}`, ['chat.v1'], {
      perMessageDeflate: false,
      createConnection: () => opened as never,
    });
    current = socket;
    socket.on('open', () => {
      socket.send(JSON.stringify({ t: 'hello', token, device: 'slow', ...(cursor ? { cursor } : {}) }));
      opened.setRate(rate);
    });
    socket.on('message', (data) => take(JSON.parse((data as Buffer).toString('utf8')) as ServerFrame));
    socket.on('error', () => undefined);
    socket.on('close', (code) => {
      closes.push(code);
      bytes += opened.readBytes();
      setTimeout(open, 300);
    });
  };
  open();
  return {
    given,
    snapshots,
    closes,
    isListening: () => cursor !== undefined,
    readBytes: () => bytes + (link?.readBytes() ?? 0),
    hurry: () => {
      rate = Infinity;
      link?.setRate(rate);
    },
    stop: () => {
      isStopped = true;
      current?.terminate();
    },
  };
};

const createPoster = async (stack: ChatStack, teamId: TeamId, owner: UserId) => {
  const token = await stack.mintToken(owner);
  let turn = 0;
  const post = async (path: string, body: object): Promise<number> => {
    turn += 1;
    const response = await fetch(`${stack.apiUrls[turn % stack.apiUrls.length]}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ teamId, ...body }),
      signal: AbortSignal.timeout(10_000),
    });
    await response.arrayBuffer();
    return response.status;
  };
  return { token, post };
};

const run = async ({ stack, workload, signal, fault, pause }: Injection): Promise<void> => {
  const team = workload.teams[0];
  const owner = team?.userIds[0]; // has no device of its own
  if (!team || !owner) throw new Error('the workload has no team');
  const { token, post } = await createPoster(stack, team.teamId, owner);
  const channelId = randomUUID();
  await eventually('the channel for the slow reader is made', async () => {
    const data = { kind: 'private', name: 'slow' };
    return isStored(await post('/api/v1/commands', { id: channelId, name: 'channel.create', data }));
  });
  const reader = startReader(stack, team.teamId, token);
  await eventually('the slow reader listens', reader.isListening);
  const sent: string[] = [];
  const refusals = new Map<number, number>();
  const writeOne = async (): Promise<void> => {
    const text = 'x'.repeat(TEXT_CHARS);
    while (!signal.aborted && sent.length * TEXT_CHARS < WRITTEN_MAX_BYTES) {
      const messageId = randomUUID();
      const status = await post('/api/v1/messages', { messageId, channelId, text }).catch(() => 0);
      if (isStored(status)) sent.push(messageId);
      else {
        refusals.set(status, (refusals.get(status) ?? 0) + 1);
        await pause(200);
      }
    }
  };
  const write = async (): Promise<void> => {
    await Promise.all(Array.from({ length: WRITERS_COUNT }, writeOne));
  };
  try {
    await fault({
      target: 'a device',
      action: `reads ${SLOW_BYTES_PER_S} bytes a second`,
      begin: async () => {
        await write();
        while (!signal.aborted) await pause(500);
        const [written, read] = [sent.length * TEXT_CHARS, reader.readBytes()];
        if (read * 10 > written) return [];
        const closed = reader.closes.length > 0 ? `, closed with ${reader.closes.join(', ')}` : '';
        const refused = refusals.size > 0 ? `, refused ${JSON.stringify([...refusals])}` : '';
        return [`${written} bytes were sent to it, it had read ${read}${closed}${refused}`];
      },
      heal: async () => {
        reader.hurry();
        await eventually(
          'the slow reader has every message',
          () => {
            if (hasAll(reader, sent)) return true;
            const { given, closes, snapshots } = reader;
            throw new Error(
              `${given.length} of ${sent.length} given, ${reader.readBytes()} bytes read, closed with ${closes.join(', ')}, anew ${snapshots.join(', ')}`,
            );
          },
          {
            timeoutMs: CATCH_UP_TIMEOUT_MS,
          },
        );
        return [`it then read all ${sent.length} messages`];
      },
    });
  } finally {
    reader.stop();
  }
  checkGiven(reader, sent);
};

const hasAll = ({ given }: Reader, sent: readonly string[]): boolean => {
  const ids = new Set(given.map(({ id }) => id));
  return sent.every((id) => ids.has(id));
};

/** Each once, ascending. */
const checkGiven = ({ given, snapshots }: Reader, sent: readonly string[]): void => {
  const isAscending = given.every(({ seq }, i) => seq > (given[i - 1]?.seq ?? 0));
  if (isAscending && given.length === sent.length && snapshots.length === 0) return;
  const order = isAscending ? 'in order' : 'out of order';
  const anew = snapshots.length > 0 ? `, told to read anew: ${snapshots.join(', ')}` : '';
  throw new Error(`the slow reader was given ${given.length} of ${sent.length}, ${order}${anew}`);
};

export const slowReader: Nemesis = {
  name: 'slow-reader',
  about: 'A device reads 1 KB/s of a channel that gets a megabyte a second; it alone may notice.',
  needs: {},
  runbook: 'slow-reader',
  run,
};
