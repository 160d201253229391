/** A raw chat.v1 client for tests: keeps every frame, repairs nothing. */

import { WebSocket } from 'ws';
import type { EventElement } from '@chat/contracts/events';
import type { ServerFrame, WelcomeFrame } from '@chat/contracts/frames';

export type WireClient = {
  readonly frames: readonly ServerFrame[];
  /** All event elements in the order received. */
  readonly events: readonly EventElement[];
  readonly socket: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** undefined while open. */
  readonly closeCode: number | undefined;
  send(frame: object): void;
  sendRaw(data: string | Buffer): void;
  /** The first frame of the type from `from` on, waiting for it; fails when the socket closes before. */
  frame<T extends ServerFrame['t']>(t: T, from?: number): Promise<Extract<ServerFrame, { t: T }>>;
  until(what: string, probe: () => boolean, ms?: number): Promise<void>;
  welcome(): Promise<WelcomeFrame>;
  seqs(): number[];
  texts(): string[];
  terminate(): void;
};

export type WireOptions = { readonly origin?: string; readonly bearer?: string; readonly protocol?: string };

/** Rejects with the HTTP status and body when the upgrade is refused. */
export const openWire = (url: string, options: WireOptions = {}): Promise<WireClient> =>
  new Promise<WireClient>((resolve, reject) => {
    const socket = new WebSocket(url, options.protocol ? [options.protocol] : [], {
      perMessageDeflate: false,
      ...(options.origin ? { origin: options.origin } : {}),
      ...(options.bearer ? { headers: { authorization: `Bearer ${options.bearer}` } } : {}),
    });
    const frames: ServerFrame[] = [];
    const events: EventElement[] = [];
    const wakers = new Set<() => void>();
    let closeCode: number | undefined;
    let settleClosed: (end: { code: number; reason: string }) => void;
    const closed = new Promise<{ code: number; reason: string }>((done) => (settleClosed = done));
    const wake = (): void => {
      for (const waker of [...wakers]) waker();
    };
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as ServerFrame;
      frames.push(frame);
      if (frame.t === 'events') events.push(...frame.events);
      wake();
    });
    socket.on('close', (code, reason) => {
      closeCode = code;
      settleClosed({ code, reason: reason.toString() });
      wake();
    });
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () =>
        reject(
          Object.assign(new Error(`refused with ${response.statusCode}`), {
            status: response.statusCode,
            body,
          }),
        ),
      );
    });
    socket.on('error', (error) => reject(error));

    const untilTrue = (what: string, probe: () => boolean, ms = 10_000): Promise<void> =>
      new Promise<void>((done, fail) => {
        const finish = (settle: () => void): void => {
          clearTimeout(timer);
          wakers.delete(look);
          settle();
        };
        const look = (): void => {
          if (probe()) finish(done);
          else if (closeCode !== undefined)
            finish(() => fail(new Error(`closed with ${closeCode} while waiting for: ${what}; ${tail()}`)));
        };
        const tail = (): string => JSON.stringify(frames.slice(-5)).slice(0, 600);
        const timer = setTimeout(
          () =>
            finish(() =>
              fail(new Error(`waited ${ms} ms for: ${what}; ${frames.length} frames, last ${tail()}`)),
            ),
          ms,
        );
        wakers.add(look);
        look();
      });

    const frameOf: WireClient['frame'] = async (t, from = 0) => {
      const find = () => frames.slice(from).find((frame) => frame.t === t);
      await untilTrue(`a ${t} frame`, () => find() !== undefined);
      return find() as never;
    };

    const client: WireClient = {
      frames,
      events,
      socket,
      closed,
      get closeCode() {
        return closeCode;
      },
      send: (frame) => socket.send(JSON.stringify(frame)),
      sendRaw: (data) => socket.send(data),
      frame: frameOf,
      until: untilTrue,
      welcome: () => frameOf('welcome'),
      seqs: () => events.map((event) => event.seq),
      texts: () => events.flatMap((event) => (event.type === 'message.sent' ? [event.data.text] : [])),
      terminate: () => socket.terminate(),
    };
    socket.on('open', () => resolve(client));
  });
