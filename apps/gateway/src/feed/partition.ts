/**
 * One partition as this gateway sees it.
 *
 * Status
 *   waiting   its stream does not exist (yet); nobody may join
 *   filling   the tail is read up to where the stream ended at start
 *   following live
 *   halted    the stream contradicts the one idea (payload's seq ≠ stream sequence); only a restart leaves this
 *
 * `flushedSeq`: the last sequence handed to fan-out; `tail.lastSeq` may be ahead of it within a turn. Sessions are
 * only ever told of `flushedSeq`.
 */

import type { Session } from '../session/session.ts';
import { Tail, type TailBounds } from './tail.ts';

export type PartitionStatus = 'waiting' | 'filling' | 'following' | 'halted';

type ReachWaiter = { readonly seq: number; readonly settle: (reached: boolean) => void };

export class Partition {
  readonly index: number;
  readonly tail: Tail;
  status: PartitionStatus = 'waiting';
  reason = 'the stream does not exist yet';
  epoch = '';
  flushedSeq = 0;
  /** The stream may have been recreated: nothing is flushed until its epoch is known to be the same. */
  isHeld = false;
  /** Last time the feed was known to be at the end of the stream or moving. */
  followedAtMs = 0;
  readonly sessions = new Set<Session>();
  #waiters: ReachWaiter[] = [];

  constructor(index: number, bounds: TailBounds) {
    this.index = index;
    this.tail = new Tail(bounds);
  }

  get isFollowing(): boolean {
    return this.status === 'following';
  }

  flushedTo(seq: number): void {
    this.flushedSeq = seq;
    if (this.#waiters.length === 0) return;
    const due = this.#waiters.filter((waiter) => waiter.seq <= seq);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > seq);
    for (const waiter of due) waiter.settle(true);
  }

  /** Waits until everything up to `seq` has been flushed; false when that takes longer than `timeoutMs`. */
  reach(seq: number, timeoutMs: number): Promise<boolean> {
    if (this.flushedSeq >= seq) return Promise.resolve(true);
    return new Promise<boolean>((resolve) => {
      const waiter: ReachWaiter = {
        seq,
        settle: (reached) => {
          clearTimeout(timer);
          resolve(reached);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        resolve(false);
      }, timeoutMs);
      this.#waiters.push(waiter);
    });
  }

  /** A new beginning at `nextSeq`: whoever waits for a sequence of the old one waits in vain. */
  restart(epoch: string, nextSeq: number): void {
    this.epoch = epoch;
    this.tail.clear(nextSeq);
    this.flushedSeq = nextSeq - 1;
    for (const waiter of this.#waiters.splice(0)) waiter.settle(false);
  }
}
