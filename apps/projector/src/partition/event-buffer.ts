/** Events read ahead of what is applied: a queue bounded in count and bytes. Full: the feed is paused until it is half empty. */

import { Deque } from '@chat/platform/deque';
import type { RawEvent } from './decode-event.ts';

export type BufferBounds = { readonly maxCount: number; readonly maxBytes: number };

export class EventBuffer {
  readonly #events = new Deque<RawEvent>();
  readonly #bounds: BufferBounds;
  #bytes = 0;

  constructor(bounds: BufferBounds) {
    this.#bounds = bounds;
  }

  get count(): number {
    return this.#events.size;
  }

  peek(): RawEvent | undefined {
    return this.#events.peek();
  }

  push(event: RawEvent): void {
    this.#events.push(event);
    this.#bytes += event.data.length;
  }

  /** One message beyond the bound may be in: the feed delivers what it has in hand. */
  isFull(): boolean {
    return this.#events.size >= this.#bounds.maxCount || this.#bytes >= this.#bounds.maxBytes;
  }

  isHalfEmpty(): boolean {
    return this.#events.size * 2 <= this.#bounds.maxCount && this.#bytes * 2 <= this.#bounds.maxBytes;
  }

  holdsBatch({ maxCount, maxBytes }: BufferBounds): boolean {
    return this.#events.size >= maxCount || this.#bytes >= maxBytes;
  }

  /** The first events within the bounds, but at least one if there is one. */
  take({ maxCount, maxBytes }: BufferBounds): RawEvent[] {
    const taken: RawEvent[] = [];
    let takenBytes = 0;
    for (let next = this.#events.peek(); next && taken.length < maxCount; next = this.#events.peek()) {
      if (taken.length > 0 && takenBytes + next.data.length > maxBytes) break;
      taken.push(next);
      takenBytes += next.data.length;
      this.#events.shift();
    }
    this.#bytes -= takenBytes;
    return taken;
  }

  clear(): void {
    this.#events.clear();
    this.#bytes = 0;
  }
}
