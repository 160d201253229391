/** A message of a feed, decoded as far as somebody asks: most of them are only looked at by `seq` and `subject`. */

import type { Msg, MsgHdrs } from '@nats-io/nats-core';

export type FeedMessage = {
  /** Stream sequence. */
  readonly seq: number;
  readonly subject: string;
  /** A view into the socket's chunk (64 KiB): copy what is kept for long. */
  readonly data: Uint8Array;
  readonly headers: MsgHdrs | undefined;
  /** When the stream stored it, ms since the Unix epoch. */
  readonly storedAtMs: number;
};

export class LazyFeedMessage implements FeedMessage {
  readonly seq: number;
  readonly #msg: Msg;
  constructor(seq: number, msg: Msg) {
    this.seq = seq;
    this.#msg = msg;
  }
  get subject(): string {
    return this.#msg.subject;
  }
  get data(): Uint8Array {
    return this.#msg.data;
  }
  get headers(): MsgHdrs | undefined {
    return this.#msg.headers;
  }
  get storedAtMs(): number {
    const tokens = (this.#msg.reply ?? '').split('.');
    return Math.floor(Number(tokens[tokens.length === 9 ? 7 : 9]) / 1e6);
  }
}

/** Where a message stands, from its reply subject. Mutable: one is reused for every message. */
export type Delivery = { streamSeq: number; consumerSeq: number; pendingCount: number };

export const ACK_PREFIX = '$JS.ACK.';

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<streamSeq>.<consumerSeq>.<ns>.<pending>` or the longer
 * `$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<streamSeq>.<consumerSeq>.<ns>.<pending>.<token>`.
 * `skipCount` is how many tokens stand before `streamSeq` (`tokensBeforeSeq` of the consumer's first message): only that
 * tells the two apart, and splitting every subject costs a third of the feed's speed. Answers false if it is neither.
 */
export const readDelivery = (reply: string, skipCount: number, into: Delivery): boolean => {
  let at = ACK_PREFIX.length;
  for (let token = 2; token < skipCount; token++) {
    at = reply.indexOf('.', at) + 1;
    if (at === 0) return false;
  }
  const end = reply.length;
  let field = 0;
  let value = 0;
  for (; at <= end && field < 4; at++) {
    const digit = at === end ? -2 : reply.charCodeAt(at) - 48;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      continue;
    }
    if (digit !== -2) return false; // '.' - '0'
    if (field === 0) into.streamSeq = value;
    else if (field === 1) into.consumerSeq = value;
    else if (field === 3) into.pendingCount = value;
    field++;
    value = 0;
  }
  return field === 4;
};

/** 5 for the short form of the reply subject, 7 for the long one, undefined for anything else. */
export const tokensBeforeSeq = (reply: string): number | undefined => {
  if (!reply.startsWith(ACK_PREFIX)) return undefined;
  const tokenCount = reply.split('.').length;
  if (tokenCount === 9) return 5;
  return tokenCount >= 11 ? 7 : undefined;
};
