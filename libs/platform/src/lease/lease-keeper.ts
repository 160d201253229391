/**
 * Heartbeat of this process and its share of the partitions (ADR 2 for writers, ADR 25 for projectors). Every
 * LEASE_TICK_MS one tick (lease-sql.ts): shows life, renews, takes what is free or expired up to the fair share. The answer is the whole truth of what
 * we own, by the database's clock; what we held and is not in it is lost *now*. Surplus is let go by releasing:
 * the partition is closed first (nothing in flight), then the row is freed, so that the next owner need not wait.
 *
 * A lease that expired but that nobody took is still ours: `owner_epoch` decides, time only says when others may take it.
 */

import { reasonOf } from '../faults.ts';
import type { Logger } from '../log.ts';
import { pause } from '../resilience/backoff.ts';
import type { LeaseNames } from './lease-sql.ts';

/** Design: TTL 4 s, renewed every 0.5 s. */
export const LEASE_TTL_MS = 4_000;
export const LEASE_TICK_MS = 500;

export type LeaseQuery = <Row>(statement: {
  readonly name?: string;
  readonly text: string;
  readonly values: readonly (string | number)[];
}) => Promise<Row[]>;

export type LeaseKeeperDeps = {
  /** Best on a connection of its own: a heartbeat must not wait behind work. */
  readonly query: LeaseQuery;
  readonly names: LeaseNames;
  /**
   * One owner, one process. Unique for each run of it where a former self may have left something in doubt (writers);
   * the same again, it goes on with what it had at once.
   */
  readonly owner: string;
  readonly log: Logger;
  readonly onAcquired: (p: number, ownerEpoch: number) => void;
  readonly onLost: (p: number, ownerEpoch: number) => void;
  /** Closes the partition; once it has resolved nothing of it is in flight. */
  readonly onSurplus: (p: number, ownerEpoch: number) => Promise<void>;
  /**
   * Why this process cannot do the work, or undefined. While it cannot there is no heartbeat: after the TTL others take
   * what it has, if there are any. Undefined: it always can.
   */
  readonly unable?: () => string | undefined;
  readonly ttlMs?: number;
  readonly tickMs?: number;
};

export type LeaseKeeper = {
  readonly start: () => Promise<void>;
  /** Ends the heartbeat only: nothing is taken or lost any more. Resolves when what was surplus is let go. */
  readonly quiesce: () => Promise<void>;
  /** Ends the heartbeat and frees every lease. Close the partitions before. */
  readonly stop: () => Promise<void>;
  readonly status: () => { readonly ok: true } | { readonly ok: false; readonly reason: string };
};

type LeaseRow = { readonly p: number; readonly owner_epoch: string; readonly target: number };

export const createLeaseKeeper = (deps: LeaseKeeperDeps): LeaseKeeper => {
  const { query, names, owner, log, ttlMs = LEASE_TTL_MS, tickMs = LEASE_TICK_MS } = deps;
  const stopping = new AbortController();
  const held = new Map<number, number>();
  const releasing = new Map<number, Promise<void>>();
  let lastTickAtMs: number | undefined;
  let reason = 'no heartbeat yet';
  let running: Promise<void> | undefined;

  const release = async (p: number, ownerEpoch: number): Promise<void> => {
    await query({
      text: `UPDATE ${names.table} SET owner = NULL, lease_until = '-infinity' WHERE p = $1 AND owner = $2 AND owner_epoch = $3`,
      values: [p, owner, ownerEpoch],
    });
    log.info({ partition: p, ownerEpoch }, 'lease released');
  };

  const letGo = (p: number, ownerEpoch: number): void => {
    const done = deps
      .onSurplus(p, ownerEpoch)
      .then(() => release(p, ownerEpoch))
      .catch((error: unknown) =>
        log.warn({ partition: p, reason: reasonOf(error) }, 'lease not released; it will expire'),
      )
      .finally(() => {
        releasing.delete(p);
        held.delete(p);
      });
    releasing.set(p, done);
  };

  const apply = (rows: readonly LeaseRow[]): void => {
    const owned = new Map(rows.map((row) => [row.p, Number(row.owner_epoch)]));
    for (const [p, ownerEpoch] of held) {
      if (owned.get(p) === ownerEpoch) continue;
      held.delete(p);
      log.warn({ partition: p, ownerEpoch }, 'lease lost');
      deps.onLost(p, ownerEpoch);
    }
    for (const [p, ownerEpoch] of owned) {
      if (held.has(p) || releasing.has(p)) continue;
      held.set(p, ownerEpoch);
      log.info({ partition: p, ownerEpoch }, 'lease taken');
      deps.onAcquired(p, ownerEpoch);
    }
    const surplus = owned.size - (rows[0]?.target ?? 0);
    const kept = [...owned.keys()].filter((p) => !releasing.has(p)).sort((a, b) => b - a);
    for (const p of kept.slice(0, Math.max(0, surplus - releasing.size))) letGo(p, owned.get(p)!);
  };

  const tick = async (): Promise<void> => {
    const why = deps.unable?.();
    if (why !== undefined) {
      reason = why;
      return;
    }
    try {
      const startedAtMs = performance.now();
      const rows = await query<LeaseRow>({
        name: 'lease_tick',
        text: `SELECT p, owner_epoch, target FROM ${names.tick}($1, $2)`,
        values: [owner, ttlMs],
      });
      if (stopping.signal.aborted) return;
      lastTickAtMs = startedAtMs;
      apply(rows);
    } catch (error) {
      reason = reasonOf(error);
      log.debug({ reason }, 'lease heartbeat failed');
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await tick();
      await pause(tickMs, stopping.signal);
    }
  };

  const quiesce = async (): Promise<void> => {
    stopping.abort();
    await running;
    await Promise.all(releasing.values());
  };

  return {
    start: async () => {
      running ??= run();
    },
    quiesce,
    stop: async () => {
      await quiesce();
      try {
        // All that is ours by name: the last heartbeat may have taken what nobody here was told of.
        await query({
          text: `UPDATE ${names.table} SET owner = NULL, lease_until = '-infinity' WHERE owner = $1`,
          values: [owner],
        });
        await query({ text: `DELETE FROM ${names.instances} WHERE id = $1`, values: [owner] });
        log.info({ partitionCount: held.size }, 'leases released');
      } catch (error) {
        log.warn({ reason: reasonOf(error) }, 'leases not released; they will expire');
      }
    },
    status: () => {
      if (lastTickAtMs === undefined) return { ok: false, reason };
      const ageMs = performance.now() - lastTickAtMs;
      return ageMs < ttlMs
        ? { ok: true }
        : { ok: false, reason: `no lease heartbeat for ${Math.round(ageMs)} ms: ${reason}` };
    },
  };
};
