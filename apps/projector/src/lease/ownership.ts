/**
 * Which partitions this projector projects: its fair share of those that all live projectors share by lease (ADR 25).
 *
 * States of a partition here: not owned → owned (onGained) → lost (onLost) → not owned. The steps of one partition
 * follow each other and never overlap.
 *
 * A lease keeps work from being done twice; it keeps nothing correct. Two at one partition (a paused owner that wakes
 * up, one that cannot reach PostgreSQL) compare-and-swap the same checkpoint, and MEMBERS value by value. So who cannot
 * renew goes on until it is told of another owner, and a restarted process is the same owner as before: it goes on at once.
 * Who is cut off from NATS can project nothing and does not renew, so that another one does, if there is any.
 *
 * Crash points: gained and not yet opened, or closed and not yet freed: the lease expires, another one begins at the
 * checkpoint. What was applied and not yet published to MEMBERS the next owner finds by its position.
 */

import { reasonOf } from '@chat/platform/faults';
import type { CheckResult } from '@chat/platform/health';
import { type LeaseQuery, createLeaseKeeper } from '@chat/platform/lease/lease-keeper';
import { leaseNamesIn } from '@chat/platform/lease/lease-schema';
import type { Logger } from '@chat/platform/log';
import type { Metrics } from '@chat/platform/metrics';
import { classify } from '@chat/platform/postgres/sqlstate';
import { retryUntil } from '@chat/platform/resilience/backoff';
import { type Service, onceAsync } from '@chat/platform/service';

/** Beside the write model: what all projectors reach, whatever the read store is. */
export const LEASE_SCHEMA = 'chat_projector';
const PREPARE_BASE_MS = 200;
const PREPARE_MAX_MS = 2_000;

export type OwnershipDeps = {
  /** Makes the tables that are not there; tried again while PostgreSQL is in trouble. */
  readonly prepare?: () => Promise<void>;
  /** On a connection of its own. */
  readonly query: LeaseQuery;
  /** Unique among the living. */
  readonly instance: string;
  readonly partitionCount: number;
  /** Neither throws on trouble of a server. */
  readonly onGained: (p: number) => Promise<void>;
  /** Resolves when nothing of the partition runs any more. */
  readonly onLost: (p: number) => Promise<void>;
  /** Why nothing can be projected here, or undefined. Whoever can takes over what is ours then. */
  readonly unable?: () => string | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly ttlMs?: number;
  readonly tickMs?: number;
};

export type Ownership = Service & {
  readonly owns: (p: number) => boolean;
  readonly check: () => CheckResult & { readonly owned: readonly number[] };
};

export const createOwnership = (deps: OwnershipDeps): Ownership => {
  const { log } = deps;
  const stopping = new AbortController();
  let beginning: Promise<void> | undefined;
  let unprepared: string | undefined;
  const owned = new Set<number>();
  /** The last step of each partition that was ever owned; at most PARTITIONS. */
  const steps = new Map<number, Promise<void>>();

  const after = (p: number, step: (p: number) => Promise<void>): Promise<void> => {
    const done = (steps.get(p) ?? Promise.resolve()).then(() => step(p));
    steps.set(p, done);
    return done;
  };
  const gain = (p: number): void => {
    owned.add(p);
    // A fault here is no trouble of a server: it ends the process, and another one takes over.
    void after(p, deps.onGained);
  };
  const lose = (p: number): Promise<void> => {
    owned.delete(p);
    return after(p, deps.onLost);
  };

  const keeper = createLeaseKeeper({
    query: deps.query,
    names: leaseNamesIn(LEASE_SCHEMA),
    owner: deps.instance,
    log,
    ...(deps.unable === undefined ? {} : { unable: deps.unable }),
    ...(deps.ttlMs === undefined ? {} : { ttlMs: deps.ttlMs }),
    ...(deps.tickMs === undefined ? {} : { tickMs: deps.tickMs }),
    onAcquired: gain,
    onLost: (p) => void lose(p),
    onSurplus: lose,
  });

  deps.metrics.gauge({
    name: 'chat_projector_partition_owned',
    help: '1: this projector projects the partition.',
    labelNames: ['partition'],
    collect() {
      for (let p = 0; p < deps.partitionCount; p += 1) this.set({ partition: p }, owned.has(p) ? 1 : 0);
    },
  });

  const begin = async (): Promise<void> => {
    if (deps.prepare !== undefined)
      await retryUntil(stopping.signal, deps.prepare, {
        baseMs: PREPARE_BASE_MS,
        maxMs: PREPARE_MAX_MS,
        isRetryable: (error) => classify(error) === 'transient',
        onRetry: (error) => {
          unprepared = reasonOf(error);
          log.warn({ reason: unprepared }, 'PostgreSQL does not answer, trying again');
        },
      });
    unprepared = undefined;
    await keeper.start();
  };

  return {
    // Does not wait for PostgreSQL. What it cannot live with (too old a server, a failed migration) ends the process.
    start: onceAsync(async () => {
      beginning = begin().catch((error: unknown) => {
        if (!stopping.signal.aborted) throw error;
      });
    }),
    // Freed only when closed: the next owner finds the checkpoint and the position where we left them.
    stop: onceAsync(async () => {
      stopping.abort();
      await beginning;
      await keeper.quiesce();
      const closed = await Promise.allSettled([...owned].map(lose));
      for (const result of closed)
        if (result.status === 'rejected')
          log.error({ reason: reasonOf(result.reason) }, 'a partition was not closed cleanly');
      await keeper.stop();
    }),
    owns: (p) => owned.has(p),
    check: () => ({
      ...(unprepared === undefined ? keeper.status() : { ok: false, reason: unprepared }),
      owned: [...owned].sort((a, b) => a - b),
    }),
  };
};
