/** What the sockets connect to: the raw server, and a stack with one team whose one channel has every user. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import { forkBenchProcess } from '../measure.ts';
import type { Address } from './socket-swarm.ts';

/** More users than this share: seeding is not what is measured. Every socket has a token of its own. */
const USERS_MAX_COUNT = 1000;
const TOKEN_TTL_SECONDS = 24 * 3600;

export type RawSockets = {
  readonly address: Address;
  readonly pid: number;
  readonly publish: (frame: string) => void;
  readonly droppedCount: () => number;
  readonly stop: () => Promise<void>;
};

export const startRawSockets = async (): Promise<RawSockets> => {
  const child = forkBenchProcess('./sockets/raw-socket-server.ts');
  const [first] = (await once(child, 'message')) as [{ readonly port: number }];
  let droppedCount = 0;
  child.on('message', () => (droppedCount += 1));
  return {
    address: { host: '127.0.0.1', port: first.port, path: '/ws/raw' },
    pid: child.pid!,
    publish: (frame) => void child.send({ frame }),
    droppedCount: () => droppedCount,
    stop: async () => {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
};

export type StackSockets = {
  readonly stack: ChatStack;
  readonly channelId: string;
  /** Of each gateway. */
  readonly addresses: readonly Address[];
  /** One for each socket, no two alike: a cache of checked tokens helps nobody. */
  readonly tokens: readonly string[];
  /** Of a member who listens nowhere else. */
  readonly senderToken: string;
};

export type StackSocketsOptions = {
  readonly gatewayCount: number;
  readonly socketCount: number;
  readonly drainGraceMs?: number;
};

const userId = (index: number): string => `s${String(index).padStart(6, '0')}`;

export const startStackSockets = async (options: StackSocketsOptions): Promise<StackSockets> => {
  const { gatewayCount, socketCount, drainGraceMs } = options;
  const raised = { MESSAGE_BURST_COUNT: '100000000', MESSAGE_SUSTAINED_COUNT: '100000000' };
  const grace: Record<string, string> =
    drainGraceMs === undefined ? {} : { DRAIN_GRACE_MS: String(drainGraceMs) };
  const stack = await startChatStack({
    gateways: gatewayCount,
    partitions: 4,
    logLevel: 'warn',
    env: { gateway: { ...raised, ...grace } },
  });
  try {
    const users = Array.from({ length: Math.min(socketCount, USERS_MAX_COUNT) }, (_, index) => userId(index));
    const { teamId, channels } = await stack.seedTeam({
      owner: 'sockets-owner',
      members: users,
      channels: [{ name: 'all', members: users }],
    });
    const tokens: string[] = [];
    for (let index = 0; index < socketCount; index += 1)
      tokens.push(
        await stack.mintToken(users[index % users.length]!, { ttlSeconds: TOKEN_TTL_SECONDS + index }),
      );
    const senderToken = await stack.mintToken(users[0]!, { ttlSeconds: TOKEN_TTL_SECONDS - 1 });
    const addresses = stack.gatewayUrls.map((url) => {
      const { hostname, port } = new URL(url);
      return { host: hostname, port: Number(port), path: `/ws/${teamId}` };
    });
    return { stack, channelId: channels.all!, addresses, tokens, senderToken };
  } catch (error) {
    await stack.stopAll();
    throw error;
  }
};

/** Resident memory of a process. */
export const rssBytes = (pid: number): number => {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
};
