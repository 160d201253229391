/**
 * One socket that speaks `chat.v1` literally: what a foreign client would do, without the client library's repairs.
 * It keeps every frame and every event element in the order they came. States: connecting → open (→ welcomed) → closed.
 */

import { randomUUID } from 'node:crypto';
import type { CommandName } from '@chat/contracts/commands';
import type { EventElement } from '@chat/contracts/events';
import type { ClientFrame, Cursor, ServerFrame, WelcomeFrame } from '@chat/contracts/frames';
import type { ChannelId, CommandId, TeamId } from '@chat/contracts/ids';
import { WebSocket } from 'ws';
import { within } from './eventually.ts';

export type Outcome = Extract<ServerFrame, { t: 'persisted' | 'rejected' }>;
export type Delivery = { readonly seq: number; readonly content: string };
export type Closed = { readonly code: number; readonly reason: string };

export type WireSession = {
  readonly frames: readonly ServerFrame[];
  readonly events: readonly EventElement[];
  readonly deliveries: readonly Delivery[];
  readonly closed: Promise<Closed>;
  /** The cursor a client would resume with: greatest seq of events and ticks, at first the head of a fresh welcome. */
  cursor(): Cursor;
  isOpen(): boolean;
  /** The next or an already received frame that satisfies `test`; fails when the socket closes before. */
  frame<T>(what: string, test: (frame: ServerFrame) => T | undefined, timeoutMs?: number): Promise<T>;
  welcome(timeoutMs?: number): Promise<WelcomeFrame>;
  write(frame: ClientFrame | string | Uint8Array, options?: { readonly binary?: boolean }): void;
  command(name: CommandName, data: unknown, id?: string): CommandId;
  say(channelId: ChannelId, text: string, id?: string): CommandId;
  outcome(id: string, timeoutMs?: number): Promise<Outcome>;
  close(): Promise<void>;
  terminate(): void;
};

export type WireOptions = {
  /** `ws://host:port` */
  readonly gatewayUrl: string;
  readonly teamId: TeamId | string;
  /** Left out: no hello is sent (for hostile tests). */
  readonly token?: string;
  readonly cursor?: Cursor;
  readonly headers?: Readonly<Record<string, string>>;
  readonly onEvent?: (event: EventElement, delivery: Delivery) => void;
  readonly onFrame?: (frame: ServerFrame) => void;
};

type Waiter = { readonly test: (frame: ServerFrame) => boolean; readonly fail: (error: Error) => void };

/** Resolves when the socket is open and hello is on its way. */
export const openWire = async (options: WireOptions): Promise<WireSession> => {
  const socket = new WebSocket(`${options.gatewayUrl}/ws/${options.teamId}`, ['chat.v1'], {
    headers: { ...options.headers },
    perMessageDeflate: false,
  });
  const frames: ServerFrame[] = [];
  const events: EventElement[] = [];
  const deliveries: Delivery[] = [];
  const waiters = new Set<Waiter>();
  let epoch = options.cursor?.epoch ?? '';
  let seq = options.cursor?.seq ?? 0;

  const take = (frame: ServerFrame): void => {
    frames.push(frame);
    if (frame.t === 'welcome') {
      epoch = frame.epoch;
      if (frame.resume !== 'replayed') seq = frame.head;
    } else if (frame.t === 'tick') {
      seq = Math.max(seq, frame.seq);
    } else if (frame.t === 'events') {
      for (const event of frame.events) {
        const delivery = { seq: event.seq, content: JSON.stringify(event) };
        events.push(event);
        deliveries.push(delivery);
        seq = Math.max(seq, event.seq);
        options.onEvent?.(event, delivery);
      }
    }
    options.onFrame?.(frame);
    for (const waiter of [...waiters]) if (waiter.test(frame)) waiters.delete(waiter);
  };
  const closed = new Promise<Closed>((resolve) => {
    socket.once('close', (code, reason) => {
      for (const { fail } of waiters) fail(new Error(`the socket closed with ${code} ${reason.toString()}`));
      waiters.clear();
      resolve({ code, reason: reason.toString() });
    });
  });
  socket.on('message', (data) => take(JSON.parse((data as Buffer).toString('utf8')) as ServerFrame));
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => undefined); // the close that follows is what the tests look at

  const write: WireSession['write'] = (frame, { binary = false } = {}) => {
    const data = typeof frame === 'string' || frame instanceof Uint8Array ? frame : JSON.stringify(frame);
    socket.send(data, { binary });
  };
  const frame = <T>(
    what: string,
    test: (frame: ServerFrame) => T | undefined,
    timeoutMs = 10_000,
  ): Promise<T> => {
    for (const past of frames) {
      const value = test(past);
      if (value !== undefined) return Promise.resolve(value);
    }
    if (socket.readyState >= WebSocket.CLOSING) return Promise.reject(new Error(`closed before: ${what}`));
    const future = new Promise<T>((resolve, reject) => {
      waiters.add({
        test: (next) => {
          const value = test(next);
          if (value !== undefined) resolve(value);
          return value !== undefined;
        },
        fail: reject,
      });
    });
    return within(future, timeoutMs, what);
  };
  const command: WireSession['command'] = (name, data, id = randomUUID()) => {
    write({ t: 'cmd', id, name, data });
    return id as CommandId;
  };
  if (options.token !== undefined) {
    write({
      t: 'hello',
      token: options.token,
      device: 'e2e',
      ...(options.cursor ? { cursor: options.cursor } : {}),
    });
  }
  return {
    frames,
    events,
    deliveries,
    closed,
    cursor: () => ({ epoch, seq }),
    isOpen: () => socket.readyState === WebSocket.OPEN,
    frame,
    welcome: (timeoutMs) => frame('welcome', (f) => (f.t === 'welcome' ? f : undefined), timeoutMs),
    write,
    command,
    say: (channelId, text, id) => command('message.send', { channelId, text }, id),
    outcome: (id, timeoutMs) =>
      frame(
        `the outcome of ${id}`,
        (f) => ((f.t === 'persisted' || f.t === 'rejected') && f.id === id ? f : undefined),
        timeoutMs,
      ),
    close: async () => {
      socket.close(1000);
      await closed;
    },
    terminate: () => socket.terminate(),
  };
};
