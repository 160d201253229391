/** A socket that speaks just enough of `chat.v1` for these tests, and writes anything it is told to. */

import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';

export type Frame = {
  readonly t: string;
  readonly id?: string;
  readonly code?: string;
  readonly seq?: number;
};

export type Wire = {
  readonly closed: Promise<number>;
  write(data: string | Uint8Array): void;
  send(channelId: string, text: string): string;
  /** The next or an already received frame; rejects after 20 s. */
  frame(test: (frame: Frame) => boolean): Promise<Frame>;
  outcome(id: string): Promise<Frame>;
  close(): Promise<void>;
};

export const openWire = async (gatewayUrl: string, teamId: string, token?: string): Promise<Wire> => {
  const socket = new WebSocket(`${gatewayUrl}/ws/${teamId}`, ['chat.v1'], { perMessageDeflate: false });
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data) => {
    frames.push(JSON.parse((data as Buffer).toString()) as Frame);
    for (const look of [...waiting]) look();
  });
  const closed = new Promise<number>((resolve) => socket.once('close', (code) => resolve(code)));
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => undefined);
  const frame: Wire['frame'] = (test) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(look);
        reject(new Error(`not among ${frames.length} frames: ${String(test)}`));
      }, 20_000);
      const look = (): void => {
        const found = frames.find(test);
        if (found === undefined) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  const write = (data: string | Uint8Array): void => socket.send(data, { binary: false });
  if (token !== undefined) write(JSON.stringify({ t: 'hello', token, device: 'watch' }));
  return {
    closed,
    write,
    frame,
    send: (channelId, text) => {
      const id = randomUUID();
      write(JSON.stringify({ t: 'cmd', id, name: 'message.send', data: { channelId, text } }));
      return id;
    },
    outcome: (id) => frame((one) => (one.t === 'persisted' || one.t === 'rejected') && one.id === id),
    close: async () => {
      socket.close(1000);
      await closed;
    },
  };
};
