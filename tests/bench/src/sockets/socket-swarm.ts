/**
 * Many sockets that mostly listen, each a peer that outlives its sockets: it remembers what it has seen, and comes back
 * with its cursor. Checked for every delivery: it is the next of the channel, also over a reconnect.
 *
 * States of a peer: away → connecting → live (welcome seen; against raw: upgraded) → away (it left, or was sent away).
 */

import type { Socket } from 'node:net';
import type { WelcomeFrame } from '@chat/contracts/frames';
import { elementLayout } from '../element-layout.ts';
import { FrameReader, type FrameSink } from '../frame-reader.ts';
import { clientFrame, openMemberSocket } from '../member-socket.ts';

export const TEXT_BYTES = 200;
export const USER_ID_LENGTH = 7;
const FAULTS_KEPT_COUNT = 20;
const POLL_MS = 5;
const SEQ_MARK = '{"seq":';

export type Address = { readonly host: string; readonly port: number; readonly path: string };

export type Peer = {
  readonly token: string | undefined;
  socket: Socket | undefined;
  /** -1: takes the first one as it is. */
  lastChannelSeq: number;
  epoch: string | undefined;
  /** All up to here was seen. */
  seq: number;
};

export type SwarmEvents = {
  /** The server sends this peer away. Undefined `afterMs`: it closed the socket. */
  readonly onSentAway?: (peer: Peer, afterMs: number | undefined) => void;
  readonly onFrame?: (peer: Peer, json: string) => void;
};

export type Swarm = {
  readonly peers: readonly Peer[];
  readonly faults: readonly string[];
  readonly deliveredCount: () => number;
  /** Resolves at the welcome. */
  readonly connect: (peer: Peer, address: Address) => Promise<void>;
  /** All peers, `atOnceCount` handshakes under way; how long it took. */
  readonly connectAll: (address: Address, atOnceCount: number) => Promise<number>;
  readonly leave: (peer: Peer) => void;
  readonly leaveAll: () => void;
  readonly fault: (what: string) => void;
};

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** False when it did not come true in time. */
export const until = async (isTrue: () => boolean, timeoutMs: number): Promise<boolean> => {
  const deadlineMs = performance.now() + timeoutMs;
  while (!isTrue()) {
    if (performance.now() > deadlineMs) return false;
    await wait(POLL_MS);
  }
  return true;
};

const helloOf = ({ token, epoch, seq }: Peer): Buffer =>
  clientFrame(
    JSON.stringify({ t: 'hello', token, ...(epoch === undefined ? {} : { cursor: { epoch, seq } }) }),
  );

/** The event `seq` of the message whose command id is at `idAt`. */
const seqBefore = (bytes: Buffer, idAt: number): number => {
  const from = bytes.lastIndexOf(SEQ_MARK, idAt, 'latin1') + SEQ_MARK.length;
  return Number(bytes.toString('latin1', from, bytes.indexOf(',', from)));
};

export type SwarmOptions = SwarmEvents & {
  /** One peer each. */
  readonly tokens: readonly (string | undefined)[];
  /** Keep the cursor at what was delivered, so that a peer can come back. Costs the load client a little. */
  readonly isFollowing?: boolean;
};

export const createSwarm = (options: SwarmOptions): Swarm => {
  const layout = elementLayout(USER_ID_LENGTH, TEXT_BYTES);
  const faults: string[] = [];
  let deliveredCount = 0;
  const peers = options.tokens.map((token): Peer => ({
    token,
    socket: undefined,
    lastChannelSeq: -1,
    epoch: undefined,
    seq: 0,
  }));

  const fault = (what: string): void => {
    if (faults.length < FAULTS_KEPT_COUNT) faults.push(what);
  };

  const welcome = (peer: Peer, json: string): void => {
    const frame = JSON.parse(json) as WelcomeFrame;
    const wanted = peer.epoch === undefined ? 'fresh' : 'replayed';
    if (frame.resume !== wanted) fault(`welcome: ${frame.resume} ${frame.reason ?? ''}, not ${wanted}`);
    // What is replayed moves the cursor when it comes, not the promise of it.
    if (peer.epoch === undefined) peer.seq = frame.head;
    peer.epoch = frame.epoch;
  };

  const deliver = (peer: Peer, channelSeq: number, bytes: Buffer, idAt: number): void => {
    deliveredCount += 1;
    if (peer.lastChannelSeq >= 0 && channelSeq !== peer.lastChannelSeq + 1)
      fault(`message ${channelSeq} of a channel came after ${peer.lastChannelSeq}`);
    peer.lastChannelSeq = channelSeq;
    if (options.isFollowing) peer.seq = seqBefore(bytes, idAt);
  };

  const onFrame = (peer: Peer, json: string): void => {
    if (json.startsWith('{"t":"tick"')) {
      if (options.isFollowing) peer.seq = (JSON.parse(json) as { seq: number }).seq;
    } else if (json.startsWith('{"t":"draining"')) {
      options.onSentAway?.(peer, (JSON.parse(json) as { reconnectAfterMs: number }).reconnectAfterMs);
    } else if (json.startsWith('{"t":"error"') || json.startsWith('{"t":"rejected"')) fault(json);
    options.onFrame?.(peer, json);
  };

  const connect = (peer: Peer, address: Address): Promise<void> =>
    new Promise((resolve, reject) => {
      let isLive = false;
      const isCurrent = (): boolean => peer.socket === socket;
      const live = (): void => {
        isLive = true;
        resolve();
      };
      const lost = (why: string): void => {
        if (!isCurrent()) return; // it left before
        peer.socket = undefined;
        socket.destroy();
        if (!isLive) reject(new Error(why));
        else if (options.onSentAway) options.onSentAway(peer, undefined);
        else fault(why);
      };
      const sink: FrameSink = {
        onOpen: () => (peer.token === undefined ? live() : void socket.write(helloOf(peer))),
        onMessage: (channelSeq, bytes, idAt) => isCurrent() && deliver(peer, channelSeq, bytes, idAt),
        onOtherEvent: () => {},
        onFrame: (json) => {
          if (!isCurrent()) return;
          if (!json.startsWith('{"t":"welcome"')) return onFrame(peer, json);
          welcome(peer, json);
          live();
        },
        onClose: (code, reason) => lost(`closed: ${code} ${reason}`),
        onFault: (what) => {
          if (isCurrent() && isLive && !what.startsWith('socket:')) fault(what);
          lost(what);
        },
      };
      const socket = openMemberSocket(address, new FrameReader(sink, layout), sink, () => {});
      peer.socket = socket;
    });

  const connectAll = async (address: Address, atOnceCount: number): Promise<number> => {
    const startMs = performance.now();
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let peer = peers[next++]; peer !== undefined; peer = peers[next++]) await connect(peer, address);
    };
    await Promise.all(Array.from({ length: atOnceCount }, lane));
    return performance.now() - startMs;
  };

  const leave = (peer: Peer): void => {
    const { socket } = peer;
    peer.socket = undefined;
    socket?.destroy();
  };

  return {
    peers,
    faults,
    deliveredCount: () => deliveredCount,
    connect,
    connectAll,
    leave,
    leaveAll: () => peers.forEach(leave),
    fault,
  };
};
