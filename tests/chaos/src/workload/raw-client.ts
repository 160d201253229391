/**
 * A device that speaks `chat.v1` literally, without the client library's repairs: every element it is given is written
 * down as it came. It has one message under way at a time, so that its order is beyond doubt.
 *
 * States: connecting → hello sent → welcomed → (cut) → waiting → connecting … → stopped. A message: on the wire →
 * accepted → settled; a cut socket or a silence sends it again under its id. One that `trustsAccepted` does not: what
 * was accepted must come to its outcome without it, unless it was told that it skipped events (`snapshot_required`):
 * the outcome may be among them, and asking is for the client.
 */

import { randomUUID } from 'node:crypto';
import type { EventElement } from '@chat/contracts/events';
import type { Cursor, ServerFrame } from '@chat/contracts/frames';
import type { ChannelId } from '@chat/contracts/ids';
import { WebSocket } from 'ws';
import { digest } from '../digest.ts';
import type { LineFields } from '../history-line.ts';
import {
  type ClientDeps,
  DEFAULT_RETRY_MS,
  type Known,
  type LoadClient,
  RESEND_AFTER_SILENCE_MS,
} from './client.ts';

type Pending = {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  readonly isMessage: boolean;
  isAccepted: boolean;
  sentAtMs: number;
  /** Not before this; a refusal named a delay. */
  retryAtMs: number;
};

export type RawClientDeps = ClientDeps & {
  readonly gatewayUrls: readonly string[];
  readonly firstGateway: number;
  readonly trustsAccepted: boolean;
};

const RECONNECT_MIN_MS = 100;
const RECONNECT_SPREAD_MS = 500;
const CONNECT_TIMEOUT_MS = 5_000;
const TICK_MS = 250;
/** A trusting sender goes on after this long without an outcome; the checker keeps the account. */
const TRUST_MAX_MS = 10_000;
/** Commands beside the one message; more are not sent. */
const COMMANDS_MAX_COUNT = 20;

export const createRawClient = (deps: RawClientDeps): LoadClient & { readonly known: Known } => {
  const { name, teamId, userId, recorder, random } = deps;
  const pending = new Map<string, Pending>();
  const known: Known = new Map();
  let socket: WebSocket | undefined;
  let isWelcomed = false;
  let isStopped = false;
  let conn = 0;
  let gateway = deps.firstGateway;
  let cursor: Cursor | undefined;
  let lastSettled: { readonly id: string; readonly data: unknown } | undefined;
  let message: Pending | undefined;
  let heardAtMs = 0;
  let reconnectTimer: NodeJS.Timeout | undefined;

  const note = (fields: Omit<LineFields, 'client' | 'conn' | 'team' | 'user'>): void =>
    recorder.write({ client: name, conn, team: teamId, user: userId, ...fields });

  const transmit = (command: Pending): void => {
    if (!socket || !isWelcomed || socket.readyState !== WebSocket.OPEN) return;
    command.sentAtMs = performance.now();
    socket.send(
      JSON.stringify({ t: 'cmd', id: command.id, name: command.name, data: command.data }),
      () => undefined,
    );
  };

  const settle = (id: string, fields: Pick<LineFields, 'type' | 'seq' | 'code' | 'isDuplicate'>): void => {
    const command = pending.get(id);
    if (!command) return;
    pending.delete(id);
    note({ op: command.isMessage ? 'send' : 'command', msgId: id, ...fields });
    if (message !== command) return;
    message = undefined;
    if (fields.type === 'ok') lastSettled = { id, data: command.data };
  };

  const takeOutcome = (frame: Extract<ServerFrame, { t: 'persisted' | 'rejected' }>): void => {
    if (frame.t === 'persisted') {
      if (frame.id === lastSettled?.id && frame.duplicate) {
        note({ op: 'repeat', type: 'ok', msgId: frame.id, seq: frame.seq, isDuplicate: true });
      }
      settle(frame.id, { type: 'ok', seq: frame.seq, isDuplicate: frame.duplicate ?? false });
      return;
    }
    const command = pending.get(frame.id);
    if (!command) return;
    if (frame.seq === undefined && frame.retryable) {
      command.retryAtMs = performance.now() + (frame.retryAfterMs ?? DEFAULT_RETRY_MS);
      command.sentAtMs = 0;
      note({ op: command.isMessage ? 'send' : 'command', type: 'info', msgId: frame.id, code: frame.code });
      return;
    }
    settle(frame.id, { type: 'fail', code: frame.code, ...(frame.seq ? { seq: frame.seq } : {}) });
  };

  const takeEvent = (event: EventElement): void => {
    note({ op: 'deliver', type: 'ok', seq: event.seq, hash: digest(JSON.stringify(event)) });
    if (cursor && event.seq > cursor.seq) cursor = { ...cursor, seq: event.seq };
    if (event.type === 'message.sent' && event.channelId) {
      known.set(event.channelId, { channelSeq: event.channelSeq ?? 0, seq: event.seq });
    }
    // An outcome is a fact of the log: it counts also when the frame that told it was lost with a socket.
    if (event.actor !== userId || !pending.has(event.commandId)) return;
    if (event.type === 'command.rejected') {
      settle(event.commandId, { type: 'fail', code: event.data.code, seq: event.seq });
    } else settle(event.commandId, { type: 'ok', seq: event.seq });
  };

  const takeWelcome = (frame: Extract<ServerFrame, { t: 'welcome' }>): void => {
    const from = cursor;
    if (frame.resume !== 'replayed') {
      if (from) note({ op: 'cursor', type: 'info', seq: from.seq, epoch: from.epoch });
      cursor = { epoch: frame.epoch, seq: frame.head };
    }
    note({
      op: 'connect',
      type: 'ok',
      epoch: frame.epoch,
      seq: frame.head,
      detail: frame.reason ? `${frame.resume} ${frame.reason}` : frame.resume,
      ...(from ? { from: from.seq } : {}),
    });
    isWelcomed = true;
    const isTold = frame.resume === 'replayed' && deps.trustsAccepted;
    for (const command of pending.values()) {
      if (!(command.isAccepted && isTold)) transmit(command);
    }
  };

  const takeFrame = (frame: ServerFrame): void => {
    heardAtMs = performance.now();
    switch (frame.t) {
      case 'welcome':
        return takeWelcome(frame);
      case 'events':
        return frame.events.forEach(takeEvent);
      case 'tick':
        if (cursor && frame.seq > cursor.seq) cursor = { ...cursor, seq: frame.seq };
        return;
      case 'accepted': {
        const command = pending.get(frame.id);
        if (command) command.isAccepted = true;
        return note({ op: 'accept', type: 'ok', msgId: frame.id });
      }
      case 'persisted':
      case 'rejected':
        return takeOutcome(frame);
      default:
        return;
    }
  };

  const onClosed = (closed: WebSocket, code: number): void => {
    if (closed !== socket) return;
    socket = undefined;
    note({ op: 'connect', type: isWelcomed ? 'info' : 'fail', code: String(code) });
    isWelcomed = false;
    if (isStopped) return;
    gateway += 1;
    reconnectTimer = setTimeout(() => void connect(), RECONNECT_MIN_MS + random() * RECONNECT_SPREAD_MS);
  };

  const connect = async (): Promise<void> => {
    if (isStopped) return;
    const token = await deps.token();
    conn += 1;
    heardAtMs = performance.now();
    const base = deps.gatewayUrls[gateway % deps.gatewayUrls.length] ?? '';
    const opened = new WebSocket(`${base}/ws/${teamId}`, ['chat.v1'], {
      perMessageDeflate: false,
      handshakeTimeout: CONNECT_TIMEOUT_MS,
    });
    socket = opened;
    note({ op: 'connect', type: 'invoke', ...(cursor ? { seq: cursor.seq, epoch: cursor.epoch } : {}) });
    opened.on('open', () => {
      opened.send(JSON.stringify({ t: 'hello', token, device: 'chaos', ...(cursor ? { cursor } : {}) }));
    });
    opened.on('message', (data) => {
      if (opened === socket) takeFrame(JSON.parse((data as Buffer).toString('utf8')) as ServerFrame);
    });
    opened.on('error', () => undefined); // the close that follows is what counts
    opened.on('close', (code) => onClosed(opened, code));
  };

  /** Silence: a command goes again; a socket that says nothing for long (its gateway is paused) is given up. */
  const tick = (): void => {
    const nowMs = performance.now();
    if (socket && nowMs - heardAtMs > RESEND_AFTER_SILENCE_MS) return socket.terminate();
    if (!isWelcomed) return;
    for (const command of pending.values()) {
      if (command.isAccepted && deps.trustsAccepted) {
        if (message === command && nowMs - command.sentAtMs > TRUST_MAX_MS) message = undefined;
        continue;
      }
      if (nowMs >= command.retryAtMs && nowMs - command.sentAtMs > RESEND_AFTER_SILENCE_MS) transmit(command);
    }
  };
  const timer = setInterval(tick, TICK_MS);

  const submit = (commandName: string, data: { readonly channelId: ChannelId }, text?: string): Pending => {
    const isMessage = commandName === 'message.send';
    const command: Pending = {
      id: randomUUID(),
      name: commandName,
      data,
      isMessage,
      isAccepted: false,
      sentAtMs: 0,
      retryAtMs: 0,
    };
    pending.set(command.id, command);
    note({
      op: isMessage ? 'send' : 'command',
      type: 'invoke',
      msgId: command.id,
      channel: data.channelId,
      ...(text === undefined ? { detail: commandName } : { text }),
    });
    transmit(command);
    return command;
  };

  return {
    name,
    teamId,
    userId,
    known,
    isListener: true,
    start: () => void connect(),
    isReady: () => isWelcomed,
    pendingCount: () => pending.size,
    seenSeq: () => cursor?.seq ?? 0,
    send: (channelId, text) => {
      if (message || isStopped) return false;
      message = submit('message.send', { channelId, text } as { channelId: ChannelId }, text);
      return true;
    },
    repeat: () => {
      if (!lastSettled || !socket || !isWelcomed || message) return false;
      socket.send(
        JSON.stringify({ t: 'cmd', id: lastSettled.id, name: 'message.send', data: lastSettled.data }),
        () => undefined,
      );
      note({ op: 'repeat', type: 'invoke', msgId: lastSettled.id });
      return true;
    },
    mark: (channelId) => {
      const channelSeq = known.get(channelId)?.channelSeq;
      if (channelSeq === undefined || pending.size > COMMANDS_MAX_COUNT) return;
      submit('read.mark', { channelId, channelSeq } as { channelId: ChannelId });
    },
    membership: (commandName, channelId) => {
      if (pending.size <= COMMANDS_MAX_COUNT) submit(commandName, { channelId });
    },
    reconnect: () => {
      socket?.terminate();
      return isWelcomed;
    },
    stop: async () => {
      isStopped = true;
      clearInterval(timer);
      clearTimeout(reconnectTimer);
      if (cursor) note({ op: 'cursor', type: 'ok', seq: cursor.seq, epoch: cursor.epoch });
      const last = socket;
      socket = undefined;
      last?.terminate();
    },
  };
};
