/** One member who writes into the channel, one message after the other, and hears what everybody hears. */

import { randomBytes } from 'node:crypto';
import { clientFrame } from '../member-socket.ts';
import { type Address, type Peer, TEXT_BYTES, createSwarm } from './socket-swarm.ts';

const PERSISTED_HEAD = '{"t":"persisted","id":"';
const PERSISTED_TIMEOUT_MS = 15_000;

export type Sender = {
  readonly peer: Peer;
  readonly faults: readonly string[];
  readonly sentCount: () => number;
  /** Resolves when it is persisted. */
  readonly send: () => Promise<void>;
  readonly leave: () => void;
};

const newId = (): string => {
  const time = Date.now().toString(16).padStart(12, '0');
  const random = randomBytes(8).toString('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${randomBytes(6).toString('hex')}`;
};

export const startSender = async (token: string, address: Address, channelId: string): Promise<Sender> => {
  let sentCount = 0;
  const waiting = new Map<string, () => void>();
  const swarm = createSwarm({
    tokens: [token],
    isFollowing: true,
    onFrame: (_, json) => {
      if (json.startsWith(PERSISTED_HEAD)) waiting.get(json.slice(PERSISTED_HEAD.length).slice(0, 36))?.();
    },
  });
  const peer = swarm.peers[0]!;
  await swarm.connect(peer, address);
  const data = { channelId, text: 'x'.repeat(TEXT_BYTES) };
  return {
    peer,
    faults: swarm.faults,
    sentCount: () => sentCount,
    send: () =>
      new Promise((resolve, reject) => {
        const id = newId();
        const timer = setTimeout(
          () => reject(new Error(`a message was not persisted; ${swarm.faults.join('; ')}`)),
          PERSISTED_TIMEOUT_MS,
        );
        waiting.set(id, () => {
          clearTimeout(timer);
          waiting.delete(id);
          sentCount += 1;
          resolve();
        });
        peer.socket?.write(clientFrame(JSON.stringify({ t: 'cmd', id, name: 'message.send', data })));
      }),
    leave: () => swarm.leave(peer),
  };
};
