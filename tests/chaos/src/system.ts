/** The running system that rounds share: two of every app, supervised as a platform would. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AppName } from '@chat/testkit/processes/app-process';
import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import { clockArgs } from './nemeses/clock/clock-steps.ts';
import type { Needs } from './nemesis.ts';

export type NodeArgs = Readonly<Partial<Record<AppName, readonly string[]>>>;

export type System = {
  readonly stack: ChatStack;
  readonly needs: Needs;
  readonly clockFile?: string;
  /** Deaths and restarts the supervisor saw, for the report. */
  readonly restartCount: () => number;
  readonly stop: () => Promise<void>;
};

const PARTITION_COUNT = 2;
/** No person writes like this workload; the limits of people are tested elsewhere. */
const noLimits = { MESSAGE_BURST_COUNT: '1000000', MESSAGE_SUSTAINED_COUNT: '1000000' } as const;

const apps: readonly AppName[] = ['gateway', 'writer', 'projector', 'api'];

type Env = Readonly<Record<string, string>>;
const envOf = (clock: Env, api: Env) => ({
  gateway: { ...noLimits, ...clock, HEARTBEAT_MS: '1000', DRAIN_GRACE_MS: '1000' },
  api: { ...noLimits, ...clock, ...api },
  writer: clock,
  projector: clock,
});

/** The runtime arguments of every app: those given, and what steers clocks where that is needed. */
const nodeArgsOf = (given: NodeArgs, isClockSteerable: boolean): NodeArgs =>
  Object.fromEntries(
    apps.map((app) => [app, [...(isClockSteerable ? clockArgs : []), ...(given[app] ?? [])]]),
  );

const standbyOf = ({ postgres }: Needs) => {
  if (postgres === 'sync-standby') return { postgresStandby: 'sync' } as const;
  return postgres === 'async-standby' ? ({ postgresStandby: 'async' } as const) : {};
};

const readStoreOf = ({ readStore }: Needs) => {
  if (readStore === undefined || readStore === 'postgres') return {};
  return { readStore: 'mongodb', mongo: readStore === 'mongodb-set' ? 'set' : 'single' } as const;
};

/** Enough for the apps, their pools made small too, and quickly taken by somebody else. */
const fewConnections = { max_connections: '60' } as const;
const smallPools = { READ_POOL_MAX_COUNT: '8' } as const;

export const startSystem = async (needs: Needs, nodeArgs: NodeArgs = {}): Promise<System> => {
  let restartCount = 0;
  const isClockSteerable = needs.isClockSteerable ?? false;
  const folder = await mkdtemp(join(tmpdir(), 'chat-chaos-clock-'));
  const clockFile = join(folder, 'clock.json');
  const removeFolder = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const stack = await startChatStack({
      gateways: 2,
      writers: 2,
      projectors: 2,
      apis: 2,
      partitions: PARTITION_COUNT,
      supervise: true,
      isProxied: needs.isProxied ?? false,
      nats: needs.nats ?? 'single',
      ...standbyOf(needs),
      ...(needs.smallDisk ? { smallDisk: needs.smallDisk } : {}),
      ...(needs.hasFewConnections ? { postgresSettings: fewConnections } : {}),
      ...readStoreOf(needs),
      env: envOf(
        isClockSteerable ? { CHAOS_CLOCK_FILE: clockFile } : {},
        needs.hasFewConnections ? smallPools : {},
      ),
      nodeArgs: nodeArgsOf(nodeArgs, isClockSteerable),
      onEvent: ({ kind }) => {
        if (kind === 'restarted') restartCount += 1;
      },
    });
    return {
      stack,
      needs,
      ...(isClockSteerable ? { clockFile } : {}),
      restartCount: () => restartCount,
      stop: async () => {
        await stack[Symbol.asyncDispose]();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
};

/** Nemeses with equal keys share a system. */
export const needsKey = (needs: Needs): string =>
  [
    needs.nats ?? 'single',
    needs.postgres ?? 'single',
    needs.readStore && needs.readStore !== 'postgres' ? needs.readStore : '',
    needs.isProxied ? 'proxied' : '',
    needs.smallDisk ? `small ${needs.smallDisk}` : '',
    needs.isClockSteerable ? 'clock' : '',
    needs.hasFewConnections ? 'few connections' : '',
  ]
    .filter(Boolean)
    .join(', ');
