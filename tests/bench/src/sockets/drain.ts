/**
 * One of two gateways gets SIGTERM with all the sockets on it, while messages go on: everybody is told when to come
 * back, comes back to the other gateway, and has missed and doubled nothing.
 */

import type { SocketBench } from './socket-bench.ts';
import { HANDSHAKES_AT_ONCE_COUNT } from './socket-bench.ts';
import { type Sender, startSender } from './socket-sender.ts';
import { type Peer, createSwarm, until, wait } from './socket-swarm.ts';
import { type StackSockets, startStackSockets } from './socket-targets.ts';

const MESSAGE_EVERY_MS = 500;
/** Given on top of the grace before the run gives up. */
const SLACK_MS = 20_000;
const TENTHS_COUNT = 10;

type Moves = {
  readonly toldCount: number;
  readonly slotMinMs: number;
  readonly slotMaxMs: number;
  readonly movedCount: number;
  readonly movedByMs: number;
  readonly goneMs: number;
  /** Sockets that arrived at the other gateway, by tenth of the grace. */
  readonly movedByTenth: readonly number[];
  readonly faults: readonly string[];
};

/** Sends until all have moved, then waits until everybody has everything. */
const talkWhile = async (isDone: () => boolean, sender: Sender, deadlineMs: number): Promise<void> => {
  while (!isDone() && performance.now() < deadlineMs) {
    await sender.send();
    await wait(MESSAGE_EVERY_MS);
  }
  await sender.send();
};

const drain = async (sockets: StackSockets, graceMs: number): Promise<Moves> => {
  const { stack, addresses, tokens, senderToken, channelId } = sockets;
  const [first, second] = addresses;
  const movedAtMs: number[] = [];
  const slotsMs = new Map<Peer, number>();
  const moving = new Set<Peer>();
  let startMs = 0;
  const move = (peer: Peer): void => {
    if (moving.has(peer)) return;
    moving.add(peer);
    swarm.leave(peer);
    swarm.connect(peer, second!).then(
      () => movedAtMs.push(performance.now() - startMs),
      (error: unknown) => swarm.fault(`not let in again: ${String(error)}`),
    );
  };
  const swarm = createSwarm({
    tokens,
    isFollowing: true,
    onSentAway: (peer, afterMs) => {
      if (moving.has(peer)) return swarm.fault('sent away a second time');
      if (afterMs === undefined) {
        if (!slotsMs.has(peer)) swarm.fault('closed without having been told');
        return move(peer);
      }
      slotsMs.set(peer, afterMs);
      setTimeout(move, afterMs, peer);
    },
  });
  await swarm.connectAll(first!, HANDSHAKES_AT_ONCE_COUNT);
  const sender = await startSender(senderToken, second!, channelId);
  await sender.send();
  await until(() => swarm.deliveredCount() >= tokens.length, SLACK_MS);

  startMs = performance.now();
  let goneMs = Number.NaN;
  process.kill(stack.pid('gateway-1'), 'SIGTERM');
  const gone = until(() => !stack.isRunning('gateway-1'), graceMs + SLACK_MS).then((isGone) => {
    if (isGone) goneMs = performance.now() - startMs;
    else swarm.fault('the drained gateway is still there');
  });
  await talkWhile(() => movedAtMs.length === tokens.length, sender, startMs + graceMs + SLACK_MS);
  await gone;
  const expected = sender.sentCount() * tokens.length;
  await until(() => swarm.deliveredCount() >= expected, SLACK_MS);
  if (swarm.deliveredCount() !== expected)
    swarm.fault(`${swarm.deliveredCount()} deliveries, not ${expected}`);
  const toldCount = slotsMs.size;
  if (toldCount !== tokens.length) swarm.fault(`${toldCount} of ${tokens.length} were told`);
  if (movedAtMs.length !== tokens.length) swarm.fault(`${movedAtMs.length} of ${tokens.length} have moved`);
  swarm.leaveAll();
  sender.leave();
  const tenthOf = (ms: number): number => Math.floor((ms / graceMs) * TENTHS_COUNT);
  return {
    toldCount,
    slotMinMs: Math.min(...slotsMs.values()),
    slotMaxMs: Math.max(...slotsMs.values()),
    movedCount: movedAtMs.length,
    movedByMs: Math.max(...movedAtMs),
    goneMs,
    movedByTenth: Array.from(
      { length: TENTHS_COUNT },
      (_, tenth) => movedAtMs.filter((ms) => tenthOf(ms) === tenth).length,
    ),
    faults: [...swarm.faults, ...sender.faults],
  };
};

export const drainSockets: SocketBench = async ({ socketCount, drainGraceMs }) => {
  const sockets = await startStackSockets({ gatewayCount: 2, socketCount, drainGraceMs });
  try {
    const { faults, movedByTenth, ...figures } = await drain(sockets, drainGraceMs);
    return {
      figures: { sockets: socketCount, graceMs: drainGraceMs, ...figures },
      notes: [`moved, by tenth of the grace: ${movedByTenth.join(', ')}`],
      aims: `movedByMs ≤ ${drainGraceMs}`,
      faults,
    };
  } finally {
    await sockets.stack.stopAll();
  }
};
