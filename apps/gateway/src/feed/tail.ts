/**
 * The last events of one partition, as they came: a ring of contiguous sequences, indexed by scope. A tail is
 * either empty (`lastSeq = firstSeq - 1`) or holds every sequence in firstSeq…lastSeq.
 * Bounds: count, bytes, age; the overflow action is to forget the oldest, never beyond `keepFromSeq`.
 */

import type { Session } from '../session/session.ts';

/** Bookkeeping of one event beside its own bytes (slots, index entry, share of the received chunk). */
const ENTRY_OVERHEAD_BYTES = 200;

export type ScopeKind = 't' | 'c' | 'u';

/** One scope of one team (= one subject = one topic) that has events in the tail or sessions here. */
export class Scope {
  readonly subject: string;
  readonly kind: ScopeKind;
  /** Sockets subscribed to the topic here. Zero: nothing is built or published. */
  subscriberCount = 0;
  /** `u` only: every joined session of that user, whether live or still replaying. */
  readonly sessions: Set<Session> = new Set();
  /** When something was last published to the topic; tells which sockets are idle. */
  publishedAtMs = 0;
  /** The last event published to the topic. */
  publishedSeq = 0;
  #seqs: number[] = [];
  #from = 0;

  constructor(subject: string) {
    this.subject = subject;
    this.kind = kindOf(subject);
  }

  get isIdle(): boolean {
    return this.#from === this.#seqs.length && this.subscriberCount === 0 && this.sessions.size === 0;
  }

  push(seq: number): void {
    this.#seqs.push(seq);
  }

  /** Forgets sequences below `seq`. */
  forgetBelow(seq: number): void {
    const seqs = this.#seqs;
    while (this.#from < seqs.length && (seqs[this.#from] as number) < seq) this.#from += 1;
    if (this.#from === seqs.length) {
      this.#seqs = [];
      this.#from = 0;
    } else if (this.#from > 1024 && this.#from * 2 > seqs.length) {
      this.#seqs = seqs.slice(this.#from);
      this.#from = 0;
    }
  }

  clear(): void {
    this.publishedSeq = 0;
    this.#seqs = [];
    this.#from = 0;
  }

  /** Appends to `into` the sequences in (after, upTo], at most `maxCount` of them. */
  collect(after: number, upTo: number, into: number[], maxCount: number): void {
    const seqs = this.#seqs;
    let low = this.#from;
    let high = seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((seqs[middle] as number) <= after) low = middle + 1;
      else high = middle;
    }
    for (let i = low; i < seqs.length && maxCount > 0; i += 1, maxCount -= 1) {
      const seq = seqs[i] as number;
      if (seq > upTo) return;
      into.push(seq);
    }
  }
}

/** The kind is the letter behind the third dot of `evt.<p>.<team>.<scope>`. */
const kindOf = (subject: string): ScopeKind => {
  const letter = subject.charAt(subject.lastIndexOf('.') + 1);
  return letter === 'c' || letter === 'u' ? letter : 't';
};

export type TailBounds = { readonly maxCount: number; readonly maxBytes: number; readonly maxAgeMs: number };

export class Tail {
  readonly #bounds: TailBounds;
  readonly #byScope = new Map<string, Scope>();
  #mask = 1023;
  #scopes: (Scope | undefined)[] = new Array<Scope | undefined>(1024);
  #data: (Buffer | undefined)[] = new Array<Buffer | undefined>(1024);
  #atMs = new Float64Array(1024);
  #firstSeq = 1;
  #lastSeq = 0;
  #bytes = 0;

  constructor(bounds: TailBounds) {
    this.#bounds = bounds;
  }

  get firstSeq(): number {
    return this.#firstSeq;
  }
  get lastSeq(): number {
    return this.#lastSeq;
  }
  get bytes(): number {
    return this.#bytes;
  }

  /** Twice its bound: only events that must be kept can bring it there. */
  get isOverfull(): boolean {
    return this.#bytes > 2 * this.#bounds.maxBytes;
  }

  scopeOf(seq: number): Scope {
    return this.#scopes[seq & this.#mask] as Scope;
  }
  dataOf(seq: number): Buffer {
    return this.#data[seq & this.#mask] as Buffer;
  }

  /** The scope of a subject, made when it is new. */
  scope(subject: string): Scope {
    let scope = this.#byScope.get(subject);
    if (!scope) this.#byScope.set(subject, (scope = new Scope(subject)));
    return scope;
  }

  findScope(subject: string): Scope | undefined {
    return this.#byScope.get(subject);
  }

  /** To be called when a session let go of a scope. */
  release(scope: Scope): void {
    if (scope.isIdle) this.#byScope.delete(scope.subject);
  }

  /** `seq` must be lastSeq + 1. Events from `keepFromSeq` on are kept whatever the bounds say. */
  push(seq: number, subject: string, data: Buffer, atMs: number, keepFromSeq: number): void {
    if (seq !== this.#lastSeq + 1) throw new RangeError(`tail at ${this.#lastSeq} cannot take ${seq}`);
    if (seq - this.#firstSeq > this.#mask) this.#grow();
    const scope = this.scope(subject);
    const slot = seq & this.#mask;
    this.#scopes[slot] = scope;
    this.#data[slot] = data;
    this.#atMs[slot] = atMs;
    this.#lastSeq = seq;
    this.#bytes += data.length + ENTRY_OVERHEAD_BYTES;
    scope.push(seq);
    const { maxCount, maxBytes } = this.#bounds;
    while (
      (this.#bytes > maxBytes || this.#lastSeq - this.#firstSeq >= maxCount) &&
      this.#firstSeq < keepFromSeq
    )
      this.#forgetFirst();
  }

  forgetOlderThan(nowMs: number, keepFromSeq: number): void {
    const oldestMs = nowMs - this.#bounds.maxAgeMs;
    while (
      this.#firstSeq <= this.#lastSeq &&
      this.#firstSeq < keepFromSeq &&
      (this.#atMs[this.#firstSeq & this.#mask] as number) < oldestMs
    )
      this.#forgetFirst();
  }

  /** Empties the tail; the next event is `nextSeq`. Scopes with sessions stay. */
  clear(nextSeq: number): void {
    for (const scope of this.#byScope.values()) {
      scope.clear();
      if (scope.isIdle) this.#byScope.delete(scope.subject);
    }
    this.#scopes.fill(undefined);
    this.#data.fill(undefined);
    this.#firstSeq = nextSeq;
    this.#lastSeq = nextSeq - 1;
    this.#bytes = 0;
  }

  #forgetFirst(): void {
    const slot = this.#firstSeq & this.#mask;
    const scope = this.#scopes[slot] as Scope;
    this.#bytes -= (this.#data[slot] as Buffer).length + ENTRY_OVERHEAD_BYTES;
    this.#scopes[slot] = undefined;
    this.#data[slot] = undefined;
    this.#firstSeq += 1;
    scope.forgetBelow(this.#firstSeq);
    if (scope.isIdle) this.#byScope.delete(scope.subject);
  }

  #grow(): void {
    const capacity = (this.#mask + 1) * 2;
    const scopes = new Array<Scope | undefined>(capacity);
    const data = new Array<Buffer | undefined>(capacity);
    const atMs = new Float64Array(capacity);
    for (let seq = this.#firstSeq; seq <= this.#lastSeq; seq += 1) {
      const from = seq & this.#mask;
      const to = seq & (capacity - 1);
      scopes[to] = this.#scopes[from];
      data[to] = this.#data[from];
      atMs[to] = this.#atMs[from] as number;
    }
    this.#scopes = scopes;
    this.#data = data;
    this.#atMs = atMs;
    this.#mask = capacity - 1;
  }
}
