/** What an empty queue has for a ring: many sockets have queues that never hold anything. Never written to: a push grows. */
const NO_RING: readonly undefined[] = [];
const SMALLEST_COUNT = 4;

/** A double-ended queue on a ring: push, shift and indexed reads are O(1). It grows; its user bounds it. */
export class Deque<T> {
  #ring: (T | undefined)[];
  #head = 0;
  #size = 0;

  /** Without a capacity nothing is allocated before the first element. */
  constructor(initialCapacityCount = 0) {
    let capacity = initialCapacityCount === 0 ? 0 : SMALLEST_COUNT;
    while (capacity < initialCapacityCount) capacity *= 2;
    this.#ring = capacity === 0 ? (NO_RING as undefined[]) : new Array<T | undefined>(capacity);
  }

  get size(): number {
    return this.#size;
  }

  push(value: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = value;
    this.#size++;
  }

  unshift(value: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = value;
    this.#size++;
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const value = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size--;
    return value;
  }

  pop(): T | undefined {
    if (this.#size === 0) return undefined;
    const index = (this.#head + this.#size - 1) & (this.#ring.length - 1);
    const value = this.#ring[index];
    this.#ring[index] = undefined;
    this.#size--;
    return value;
  }

  /** The element `index` places behind the first, or undefined. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#size) return undefined;
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)];
  }

  peek(): T | undefined {
    return this.at(0);
  }

  last(): T | undefined {
    return this.at(this.#size - 1);
  }

  clear(): void {
    this.#ring = NO_RING as undefined[];
    this.#head = 0;
    this.#size = 0;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.#size; i++) yield this.at(i) as T;
  }

  #grow(): void {
    const grown = new Array<T | undefined>(Math.max(SMALLEST_COUNT, this.#ring.length * 2));
    for (let i = 0; i < this.#size; i++) grown[i] = this.at(i);
    this.#ring = grown;
    this.#head = 0;
  }
}
