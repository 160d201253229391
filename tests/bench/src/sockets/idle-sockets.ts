/** Sockets that do nothing: what one of them takes in memory, and how fast they are let in, against raw uWS. */

import { HANDSHAKES_AT_ONCE_COUNT, type SocketBench } from './socket-bench.ts';
import { type Address, createSwarm, wait } from './socket-swarm.ts';
import { rssBytes, startRawSockets, startStackSockets } from './socket-targets.ts';

/** Share of the sockets that come and go before anything is measured: code is compiled, pools are made. */
const WARMUP_SHARE = 0.2;
/** The least resident memory seen in this time counts: garbage of the handshakes is not the sockets'. */
const SETTLE_STEPS_COUNT = 10;
const SETTLE_MIN_SOCKETS_COUNT = 1000;

type Idle = {
  readonly bytesPerSocket: number;
  readonly handshakesPerSecond: number;
  readonly faults: readonly string[];
};

const settledRssBytes = async (pid: number, socketCount: number): Promise<number> => {
  const stepMs = socketCount < SETTLE_MIN_SOCKETS_COUNT ? 20 : 500;
  let least = Infinity;
  for (let step = 0; step < SETTLE_STEPS_COUNT; step += 1) {
    await wait(stepMs);
    least = Math.min(least, rssBytes(pid));
  }
  return least;
};

const measure = async (
  address: Address,
  pid: number,
  tokens: readonly (string | undefined)[],
): Promise<Idle> => {
  const warmup = createSwarm({ tokens: tokens.slice(0, Math.ceil(tokens.length * WARMUP_SHARE)) });
  await warmup.connectAll(address, HANDSHAKES_AT_ONCE_COUNT);
  warmup.leaveAll();
  const before = await settledRssBytes(pid, tokens.length);
  const swarm = createSwarm({ tokens });
  const tookMs = await swarm.connectAll(address, HANDSHAKES_AT_ONCE_COUNT);
  const after = await settledRssBytes(pid, tokens.length);
  const liveCount = swarm.peers.filter(({ socket }) => socket !== undefined).length;
  if (liveCount !== tokens.length) swarm.fault(`${liveCount} of ${tokens.length} sockets are still open`);
  swarm.leaveAll();
  return {
    bytesPerSocket: (after - before) / tokens.length,
    handshakesPerSecond: (tokens.length / tookMs) * 1000,
    faults: [...warmup.faults, ...swarm.faults],
  };
};

export const idleSockets: SocketBench = async ({ socketCount }) => {
  const raw = await startRawSockets();
  let rawIdle;
  try {
    rawIdle = await measure(raw.address, raw.pid, new Array<undefined>(socketCount).fill(undefined));
  } finally {
    await raw.stop();
  }
  const ours = await startStackSockets({ gatewayCount: 1, socketCount });
  let idle;
  try {
    idle = await measure(ours.addresses[0]!, ours.stack.pid('gateway-1'), ours.tokens);
  } finally {
    await ours.stack.stopAll();
  }
  return {
    figures: {
      sockets: socketCount,
      rawBytesPerSocket: rawIdle.bytesPerSocket,
      oursBytesPerSocket: idle.bytesPerSocket,
      memoryRatio: idle.bytesPerSocket / rawIdle.bytesPerSocket,
      rawHandshakesPerSecond: rawIdle.handshakesPerSecond,
      oursHandshakesPerSecond: idle.handshakesPerSecond,
      handshakeRatio: idle.handshakesPerSecond / rawIdle.handshakesPerSecond,
    },
    aims: 'memoryRatio ≤ 3, handshakeRatio ≥ 0.5',
    faults: [...rawIdle.faults, ...idle.faults],
  };
};
