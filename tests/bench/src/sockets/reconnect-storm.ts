/**
 * Everybody comes back at once with a cursor from before the last messages: each must get what it missed once and in
 * order, and then be live. Against raw uWS that lets as many in and sends each the same bytes in one frame.
 */

import { encodeEvent } from '@chat/contracts/events';
import { EVENTS_PREFIX, EVENTS_SUFFIX } from '@chat/contracts/frames';
import type { ChannelId, CommandId, UserId } from '@chat/contracts/ids';
import { HANDSHAKES_AT_ONCE_COUNT, type SocketBench } from './socket-bench.ts';
import { startSender } from './socket-sender.ts';
import { TEXT_BYTES, USER_ID_LENGTH, createSwarm, until } from './socket-swarm.ts';
import { type StackSockets, startRawSockets, startStackSockets } from './socket-targets.ts';

const MISSED_COUNT = 100;
const TIMEOUT_MS = 90_000;

const rawFrame = (): string => {
  const id = '00000000-0000-7000-8000-000000000000';
  const data = JSON.stringify({ text: 'x'.repeat(TEXT_BYTES) });
  const actor = 's'.repeat(USER_ID_LENGTH) as UserId;
  const element = (_: unknown, index: number): string =>
    encodeEvent(
      1_000 + index,
      'message.sent',
      1,
      Date.now(),
      id as ChannelId,
      1 + index,
      id as CommandId,
      'raw-baseline-hsh',
      actor,
      data,
    );
  return EVENTS_PREFIX + Array.from({ length: MISSED_COUNT }, element).join(',') + EVENTS_SUFFIX;
};

type Storm = { readonly tookMs: number; readonly faults: readonly string[] };

const rawStorm = async (socketCount: number): Promise<Storm> => {
  const raw = await startRawSockets();
  try {
    const swarm = createSwarm({ tokens: new Array<undefined>(socketCount).fill(undefined) });
    for (const peer of swarm.peers) peer.lastChannelSeq = 0;
    const expected = socketCount * MISSED_COUNT;
    const startMs = performance.now();
    await swarm.connectAll(raw.address, HANDSHAKES_AT_ONCE_COUNT);
    raw.publish(rawFrame());
    const isThere = await until(() => swarm.deliveredCount() >= expected, TIMEOUT_MS);
    const tookMs = performance.now() - startMs;
    if (!isThere) swarm.fault(`${swarm.deliveredCount()} of ${expected} deliveries`);
    swarm.leaveAll();
    if (raw.droppedCount() > 0) swarm.fault(`the raw server dropped ${raw.droppedCount()} frames`);
    return { tookMs, faults: swarm.faults };
  } finally {
    await raw.stop();
  }
};

const ourStorm = async ({ addresses, tokens, senderToken, channelId }: StackSockets): Promise<Storm> => {
  const [address] = addresses;
  const sender = await startSender(senderToken, address!, channelId);
  const { epoch, seq } = sender.peer;
  for (let sent = 0; sent < MISSED_COUNT; sent += 1) await sender.send();
  await until(() => sender.peer.seq >= seq + MISSED_COUNT, TIMEOUT_MS);
  const lastMissed = sender.peer.lastChannelSeq;
  const swarm = createSwarm({ tokens });
  for (const peer of swarm.peers)
    Object.assign(peer, { epoch, seq, lastChannelSeq: lastMissed - MISSED_COUNT });
  const missedCount = tokens.length * MISSED_COUNT;
  const startMs = performance.now();
  await swarm.connectAll(address!, HANDSHAKES_AT_ONCE_COUNT);
  const isThere = await until(() => swarm.deliveredCount() >= missedCount, TIMEOUT_MS);
  const tookMs = performance.now() - startMs;
  if (!isThere) swarm.fault(`${swarm.deliveredCount()} of ${missedCount} deliveries`);
  // Nobody was left behind the replay: the next message is the next of everybody, and comes once.
  await sender.send();
  await until(() => swarm.deliveredCount() >= missedCount + tokens.length, TIMEOUT_MS);
  const lateCount = swarm.peers.filter(({ lastChannelSeq }) => lastChannelSeq !== lastMissed + 1).length;
  if (lateCount > 0) swarm.fault(`${lateCount} sockets did not get the message after the storm`);
  if (swarm.deliveredCount() !== missedCount + tokens.length)
    swarm.fault(`${swarm.deliveredCount()} deliveries, not ${missedCount + tokens.length}`);
  swarm.leaveAll();
  sender.leave();
  return { tookMs, faults: [...swarm.faults, ...sender.faults] };
};

export const reconnectStorm: SocketBench = async ({ socketCount }) => {
  const raw = await rawStorm(socketCount);
  const sockets = await startStackSockets({ gatewayCount: 1, socketCount });
  let ours;
  try {
    ours = await ourStorm(sockets);
  } finally {
    await sockets.stack.stopAll();
  }
  return {
    figures: {
      sockets: socketCount,
      missedEach: MISSED_COUNT,
      rawMs: raw.tookMs,
      oursMs: ours.tookMs,
      timeRatio: ours.tookMs / raw.tookMs,
    },
    aims: 'timeRatio ≤ 2.5',
    faults: [...raw.faults, ...ours.faults],
  };
};
