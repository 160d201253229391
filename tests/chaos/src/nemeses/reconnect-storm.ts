/** Every client loses its socket at the same moment and comes back. */

import type { Nemesis } from '../nemesis.ts';

const EVERY_MS = 5_000;

export const reconnectStorm: Nemesis = {
  name: 'reconnect-storm',
  about: 'The sockets of all clients are cut at once, every 5 s; all resume with nothing missed.',
  needs: {},
  runbook: 'reconnect-storm',
  run: async ({ workload, signal, fault, pause }) => {
    while (!signal.aborted) {
      await fault({
        target: 'all clients',
        action: 'cut sockets',
        begin: async () => {
          const count = workload.reconnectAll();
          return count > 0 ? [`${count} live sockets were cut at once`] : [];
        },
        heal: async () => [],
      });
      await pause(EVERY_MS);
    }
  },
};
