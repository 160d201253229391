/** The running system that rounds share: two of every app, supervised as a platform would. */

import type { AppName } from '@chat/testkit/processes/app-process';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import type { Needs } from './nemesis.ts';

export type NodeArgs = Readonly<Partial<Record<AppName, readonly string[]>>>;

export type System = {
  readonly stack: ChatStack;
  readonly needs: Needs;
  /** Deaths and restarts the supervisor saw, for the report. */
  readonly restartCount: () => number;
};

const PARTITION_COUNT = 2;
/** No person writes like this workload; the limits of people are tested elsewhere. */
const noLimits = { MESSAGE_BURST_COUNT: '1000000', MESSAGE_SUSTAINED_COUNT: '1000000' } as const;

export const startSystem = async (needs: Needs, nodeArgs?: NodeArgs): Promise<System> => {
  let restartCount = 0;
  const stack = await startChatStack({
    gateways: 2,
    writers: 2,
    projectors: 2,
    apis: 2,
    partitions: PARTITION_COUNT,
    supervise: true,
    env: {
      gateway: { ...noLimits, HEARTBEAT_MS: '1000', DRAIN_GRACE_MS: '1000' },
      api: noLimits,
    },
    ...(nodeArgs ? { nodeArgs } : {}),
    onEvent: ({ kind }) => {
      if (kind === 'restarted') restartCount += 1;
    },
  });
  return { stack, needs, restartCount: () => restartCount };
};

/** Nemeses with equal keys share a system. */
export const needsKey = (needs: Needs): string =>
  [
    needs.nats ?? 'single',
    needs.postgres ?? 'single',
    needs.isProxied ? 'proxied' : '',
    needs.smallDisk ? `small ${needs.smallDisk}` : '',
    needs.isClockSteerable ? 'clock' : '',
  ]
    .filter(Boolean)
    .join(', ');
