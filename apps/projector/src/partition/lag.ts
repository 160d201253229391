/**
 * How far a partition is behind its log, in events and in seconds. Told by what was seen last: while the stream cannot be
 * asked the numbers stay, and the seconds go on.
 */

import type { RawEvent } from './decode-event.ts';

export type Lag = { readonly events: number; readonly seconds: number };

export class LagMeter {
  /** Newest event known to be in the log. */
  #headSeq = 0;
  #oldest: RawEvent | undefined;
  #oldestAtMs: number | undefined;

  /** The log goes at least this far. */
  sawHead(seq: number): void {
    if (seq > this.#headSeq) this.#headSeq = seq;
  }

  /** The log is another one than before: what was seen of it says nothing. */
  restart(headSeq: number): void {
    this.#headSeq = headSeq;
  }

  /** The first event that is not applied yet; undefined when everything seen is. */
  oldest(event: RawEvent | undefined): void {
    if (event === this.#oldest) return;
    this.#oldest = event;
    this.#oldestAtMs = undefined;
  }

  /** No event is known that waits. */
  isIdle(): boolean {
    return this.#oldest === undefined;
  }

  /** Age of the first event that is not applied. Parses one payload, so it is for a scrape, not for each event. */
  read(appliedSeq: number, nowMs: number): Lag {
    const events = Math.max(0, this.#headSeq - appliedSeq);
    if (this.#oldest === undefined || this.#oldest.seq <= appliedSeq) return { events, seconds: 0 };
    this.#oldestAtMs ??= atOf(this.#oldest) ?? nowMs;
    return { events, seconds: Math.max(0, nowMs - this.#oldestAtMs) / 1_000 };
  }
}

const atOf = (raw: RawEvent): number | undefined => {
  try {
    const { at } = JSON.parse(Buffer.from(raw.data).toString()) as { readonly at?: unknown };
    return typeof at === 'number' ? at : undefined;
  } catch {
    return undefined;
  }
};
