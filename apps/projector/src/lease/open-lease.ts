/** Ownership on a connection of its own to the PostgreSQL of the write model, which every projector reaches. */

import type pg from 'pg';
import type { CheckResult } from '@chat/platform/health';
import { LEASE_TTL_MS } from '@chat/platform/lease/lease-keeper';
import { prepareLeases } from '@chat/platform/lease/lease-schema';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import { createPool } from '@chat/platform/postgres/pool';
import type { ProjectorConfig } from '../config.ts';
import { LEASE_SCHEMA, type Ownership, type OwnershipDeps, createOwnership } from './ownership.ts';

/** A heartbeat without an answer is tried anew while the lease still holds. */
const HEARTBEAT_TIMEOUT_MS = LEASE_TTL_MS / 2;

export type OpenLeaseDeps = {
  readonly config: Pick<ProjectorConfig, 'DATABASE_URL' | 'INSTANCE_ID' | 'PARTITIONS'>;
  /** Why nothing can be projected here, or undefined. */
  readonly unable: () => string | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
};

export type Lease = {
  /** Call once. */
  readonly ownership: (events: Pick<OwnershipDeps, 'onGained' | 'onLost'>) => Ownership;
  readonly check: () => CheckResult;
  /** After the ownership is stopped. */
  readonly close: () => Promise<void>;
};

export const openLease = ({ config, unable, metrics, log }: OpenLeaseDeps): Lease => {
  const { DATABASE_URL: url, INSTANCE_ID: instance, PARTITIONS: partitionCount } = config;
  const pool = createPool({
    url,
    max: 1,
    name: 'chat-projector-lease',
    statementTimeoutMs: HEARTBEAT_TIMEOUT_MS,
    connectionTimeoutMs: HEARTBEAT_TIMEOUT_MS,
    metrics,
    log,
  });
  let ownership: Ownership | undefined;
  return {
    ownership: (events) =>
      (ownership = createOwnership({
        ...events,
        instance,
        partitionCount,
        prepare: () => prepareLeases({ url, pool, schema: LEASE_SCHEMA, partitionCount, log }),
        query: async <Row>(statement: Parameters<OwnershipDeps['query']>[0]) =>
          (await pool.query(statement as pg.QueryConfig)).rows as Row[],
        unable,
        metrics,
        log,
      })),
    check: () => ownership?.check() ?? { ok: false, reason: 'starting' },
    close: () => pool.end(),
  };
};
