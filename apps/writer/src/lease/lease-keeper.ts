/**
 * Heartbeat of this writer and its share of the partitions (ADR 2). Every LEASE_TICK_MS one `lease_tick`:
 * shows life, renews, takes what is free or expired up to the fair share. The answer is the whole truth of what
 * we own, by the database's clock; what we held and is not in it is lost *now*. Surplus is let go by releasing:
 * the partition is closed first (nothing in flight), then the row is freed, so that the next owner need not wait.
 *
 * A lease that expired but that nobody took is still ours: `owner_epoch` decides, time only says when others may take it.
 */

import type { Logger } from '@chat/platform/log';
import { reasonOf } from '@chat/platform/faults';
import { pause } from '@chat/platform/resilience/backoff';
import type { PgSession } from '../postgres/session.ts';

/** Design: TTL 4 s, renewed every 0.5 s. */
export const LEASE_TTL_MS = 4_000;
export const LEASE_TICK_MS = 500;

export type LeaseKeeperDeps = {
  readonly session: PgSession;
  /** Unique for this run of the process: a restarted writer is another owner. */
  readonly owner: string;
  readonly log: Logger;
  readonly onAcquired: (p: number, ownerEpoch: number) => void;
  readonly onLost: (p: number, ownerEpoch: number) => void;
  /** Closes the partition; once it has resolved nothing of it is in flight. */
  readonly onSurplus: (p: number, ownerEpoch: number) => Promise<void>;
  readonly ttlMs?: number;
  readonly tickMs?: number;
};

export type LeaseKeeper = {
  readonly start: () => Promise<void>;
  /** Ends the heartbeat and frees every lease. Close the partitions before. */
  readonly stop: () => Promise<void>;
  readonly status: () => { readonly ok: true } | { readonly ok: false; readonly reason: string };
};

type LeaseRow = { readonly p: number; readonly owner_epoch: string; readonly target: number };

export const createLeaseKeeper = (deps: LeaseKeeperDeps): LeaseKeeper => {
  const { session, owner, log, ttlMs = LEASE_TTL_MS, tickMs = LEASE_TICK_MS } = deps;
  const stopping = new AbortController();
  const held = new Map<number, number>();
  const releasing = new Map<number, Promise<void>>();
  let lastTickAtMs: number | undefined;
  let reason = 'no heartbeat yet';
  let running: Promise<void> | undefined;

  const release = async (p: number, ownerEpoch: number): Promise<void> => {
    await session.query({
      text: `UPDATE partition SET owner = NULL, lease_until = '-infinity' WHERE p = $1 AND owner = $2 AND owner_epoch = $3`,
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
    try {
      const startedAtMs = performance.now();
      const rows = await session.query<LeaseRow>({
        name: 'lease_tick',
        text: 'SELECT p, owner_epoch, target FROM lease_tick($1, $2)',
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

  return {
    start: async () => {
      running ??= run();
    },
    stop: async () => {
      stopping.abort();
      await running;
      await Promise.all(releasing.values());
      try {
        for (const [p, ownerEpoch] of held) await release(p, ownerEpoch);
        await session.query({ text: 'DELETE FROM writer_instance WHERE id = $1', values: [owner] });
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
