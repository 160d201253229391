import type { LeaseNames } from '@chat/platform/lease/lease-sql';

/** A writer's lease and its position are one row (ADR 2). */
export const writerLease: LeaseNames = {
  table: 'partition',
  instances: 'writer_instance',
  tick: 'lease_tick',
};
