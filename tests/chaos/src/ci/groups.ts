/** What CI runs: each nemesis in one group, each group in one test file with one system of its own. */

export const groups = {
  kills: [
    'kill-writer',
    'kill-gateway',
    'kill-projector',
    'kill-api',
    'kill-nats',
    'kill-postgres',
    'nats-power-loss',
  ],
  pauses: ['pause-writer', 'pause-gateway', 'pause-projector', 'pause-api', 'pause-nats', 'pause-postgres'],
  people: ['roll', 'reconnect-storm', 'slow-reader'],
  clocks: ['clock-steps'],
  'postgres-busy': ['postgres-lock', 'postgres-slow', 'postgres-immediate-restart'],
  partitions: [
    'partition-gateway-nats',
    'partition-writer-nats',
    'partition-writer-postgres',
    'partition-projector-nats',
    'partition-projector-postgres',
    'partition-api-nats',
    'client-links',
  ],
  cluster: ['nats-leader-kill', 'nats-two-of-three', 'nats-all-three'],
  'standby-sync': ['postgres-promote-sync'],
  'standby-async': ['postgres-promote-async'],
  operators: ['operator-purge-evt', 'operator-delete-consumer'],
  mongod: ['kill-mongod', 'pause-mongod'],
  'mongo-set': ['mongo-failover'],
  links: ['latency-100', 'latency-2000', 'resets', 'loss'],
  'cluster-links': ['partition-nats-member'],
  connections: ['postgres-connections'],
  'disk-full-nats': ['disk-full-nats'],
  'disk-full-postgres': ['disk-full-postgres'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type GroupName = keyof typeof groups;
