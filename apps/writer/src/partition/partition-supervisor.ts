/**
 * Keeps every owned partition open, whatever happens.
 *
 * States of a slot: opening → open → (doubt) closing → opening …; opening → halted → opening (tried again, the
 * operator may have chosen); any → gone, when the lease is lost or let go.
 *
 * One slot a lease (p, ownerEpoch). A slot of the same partition under a newer lease begins only when the old one
 * is closed, so that at most one `OpenPartition` of a partition is in use in this process.
 */

import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { backoffMs, pause } from '@chat/platform/resilience/backoff';
import { HaltedFault, type OpenPartition } from './open-partition.ts';

const REOPEN_BASE_MS = 50;
const REOPEN_MAX_MS = 1_000;
const HALTED_RETRY_MS = 2_000;

export type SupervisorDeps = {
  readonly open: (p: number, ownerEpoch: number, signal: AbortSignal) => Promise<OpenPartition>;
  /** Called synchronously when a partition is no longer to be used, before anything else is. */
  readonly onClosed: (open: OpenPartition) => void;
  readonly wake: () => void;
  readonly log: Logger;
};

export type PartitionSupervisor = {
  readonly acquired: (p: number, ownerEpoch: number) => void;
  /** Drops everything of the partition at once; resolves when nothing of it runs any more. */
  readonly lost: (p: number, ownerEpoch: number) => Promise<void>;
  /** Doubt: close, compare and open again. */
  readonly reopen: (open: OpenPartition, reason: string) => void;
  readonly reopenAll: (reason: string) => void;
  /** Takes commands now. The array is made anew only when something changed. */
  readonly openPartitions: () => readonly OpenPartition[];
  /** Undefined: open. */
  readonly unavailable: (p: number) => string | undefined;
  readonly status: () => { readonly ok: true } | { readonly ok: false; readonly reason: string };
  readonly stop: () => Promise<void>;
};

type Slot = {
  readonly p: number;
  readonly ownerEpoch: number;
  readonly gone: AbortController;
  open: OpenPartition | undefined;
  reason: string;
  /** Resolves the wait of an open slot. */
  closeNow: () => void;
  done: Promise<void>;
};

export const createPartitionSupervisor = (deps: SupervisorDeps): PartitionSupervisor => {
  const { log } = deps;
  const slots = new Map<number, Slot>();
  let opened: readonly OpenPartition[] = [];

  const refresh = (): void => {
    opened = [...slots.values()].flatMap((slot) => (slot.open ? [slot.open] : []));
  };

  /** Synchronous: from this line on nobody uses it. */
  const close = (slot: Slot, reason: string): void => {
    slot.reason = reason;
    const { open } = slot;
    if (!open) return;
    slot.open = undefined;
    open.isClosed = true;
    refresh();
    deps.onClosed(open);
    slot.closeNow();
  };

  const openUntilDone = async (slot: Slot): Promise<OpenPartition | undefined> => {
    const { p, ownerEpoch, gone } = slot;
    for (let attempt = 0; !gone.signal.aborted; attempt += 1) {
      try {
        return await deps.open(p, ownerEpoch, gone.signal);
      } catch (error) {
        if (gone.signal.aborted) return undefined;
        const reason = reasonOf(error);
        const isHalted = error instanceof HaltedFault;
        if (isHalted && slot.reason !== `halted: ${reason}`) {
          log.error({ partition: p, reason }, 'partition halted: an operator must choose adopt or discard');
        } else if (!isHalted && slot.reason !== reason) {
          log.warn({ partition: p, reason }, 'partition not opened yet');
        }
        slot.reason = isHalted ? `halted: ${reason}` : reason;
        const waitMs = backoffMs({ attempt, baseMs: REOPEN_BASE_MS, maxMs: REOPEN_MAX_MS });
        await pause(isHalted ? HALTED_RETRY_MS : waitMs, gone.signal);
      }
    }
    return undefined;
  };

  const runSlot = async (slot: Slot): Promise<void> => {
    while (!slot.gone.signal.aborted) {
      const open = await openUntilDone(slot);
      if (!open) return;
      if (!slot.gone.signal.aborted) {
        const closed = new Promise<void>((resolve) => (slot.closeNow = resolve));
        slot.open = open;
        refresh();
        const { p, nextId, cmdSeq, ownerEpoch } = open;
        log.info({ partition: p, ownerEpoch, nextId, cmdSeq }, 'partition open');
        deps.wake();
        await closed;
        log.info({ partition: p, ownerEpoch, reason: slot.reason }, 'partition closed');
      }
      open.isClosed = true;
      await Promise.all([open.intake.stop(), open.relay.stop()]);
    }
  };

  return {
    acquired: (p, ownerEpoch) => {
      const before = slots.get(p);
      const slot: Slot = {
        p,
        ownerEpoch,
        gone: new AbortController(),
        open: undefined,
        reason: 'opening',
        closeNow: () => {},
        done: Promise.resolve(),
      };
      before?.gone.abort();
      if (before) close(before, 'taken over by a newer lease');
      slots.set(p, slot);
      slot.done = (before?.done ?? Promise.resolve()).then(() => runSlot(slot));
    },
    lost: async (p, ownerEpoch) => {
      const slot = slots.get(p);
      if (slot?.ownerEpoch !== ownerEpoch) return;
      slot.gone.abort();
      close(slot, 'the lease is gone');
      await slot.done;
      if (slots.get(p) === slot) slots.delete(p);
    },
    reopen: (open, reason) => {
      const slot = slots.get(open.p);
      if (slot?.open === open) close(slot, reason);
    },
    reopenAll: (reason) => {
      for (const slot of slots.values()) close(slot, reason);
    },
    openPartitions: () => opened,
    unavailable: (p) => {
      const slot = slots.get(p);
      if (!slot) return 'another writer owns the partition';
      return slot.open ? undefined : slot.reason;
    },
    status: () => {
      const closed = [...slots.values()].filter((slot) => !slot.open);
      if (closed.length === 0) return { ok: true };
      return { ok: false, reason: closed.map((slot) => `partition ${slot.p}: ${slot.reason}`).join('; ') };
    },
    stop: async () => {
      for (const slot of slots.values()) {
        slot.gone.abort();
        close(slot, 'stopping');
      }
      await Promise.all([...slots.values()].map((slot) => slot.done));
      slots.clear();
    },
  };
};
