/** The raw baseline as a target: its process, and the same members and channels as ours. */

import { once } from 'node:events';
import { cpuUs } from './cpu.ts';
import type { LoadChannel } from './load-plan.ts';
import { forkBenchProcess } from './measure.ts';
import type { Target } from './target.ts';

export const startRawTarget = async (mischief?: 'lose' | 'double'): Promise<Target> => {
  const child = forkBenchProcess('./raw-server.ts', mischief ? { RAW_MISCHIEF: mischief } : {});
  const [first] = (await once(child, 'message')) as [{ readonly port: number }];
  let droppedCount = 0;
  child.on('message', () => (droppedCount += 1));
  return {
    name: 'raw uWS',
    address: { host: '127.0.0.1', port: first.port },
    channelsOf: (scenario, users) =>
      Promise.resolve(
        Array.from({ length: scenario.channelCount }, (_, index): LoadChannel => {
          const channelId = `00000000-0000-7000-8000-${String(index).padStart(12, '0')}`;
          const members = users[index]!.map((userId) => ({
            path: '/ws/raw',
            token: `${channelId}.${userId}`,
            userId,
          }));
          return { channelId, members };
        }),
      ),
    clocks: () => ({ 'raw uWS': cpuUs(child.pid!) }),
    faults: () => (droppedCount > 0 ? [`the raw server dropped ${droppedCount} frames`] : []),
    stop: async () => {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
};
