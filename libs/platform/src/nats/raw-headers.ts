/**
 * Headers as bytes. It relies on nats-core (3.4.0, `protocol.publish`): of `options.headers` it calls nothing but
 * `encode(): Uint8Array`, writes those bytes as they are, and does not look into them (unless `traceOnly` or
 * `traceDestination` are given, which we never do). That saves a Map, its canonicalisation and an encode per message.
 * `raw-headers.int.test.ts` pins it.
 */

import { HEADER_EXPECTED_LAST_SEQ, HEADER_MORE_OF_COMMAND, HEADER_MSG_ID } from '@chat/contracts/streams';
import type { MsgHdrs } from '@nats-io/nats-core';
import { HEADER_TRACEPARENT } from '../tracing.ts';

export type EncodedHeaders = { encode(): Uint8Array };

export class RawHeaders implements EncodedHeaders {
  readonly #bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  encode(): Uint8Array {
    return this.#bytes;
  }
}

/** What nats-core takes as headers; see above. */
export const asMsgHdrs = (headers: EncodedHeaders): MsgHdrs => headers as unknown as MsgHdrs;

/** Encodes `Name: value` lines. Names and values must be ASCII without CR or LF (our ids and numbers are). */
export const encodeHeaders = (lines: readonly string[]): RawHeaders => {
  for (const line of lines) {
    if (!/^[!-9;-~]+:[ -~]*$/.test(line)) throw new RangeError(`not a header line: ${JSON.stringify(line)}`);
  }
  return new RawHeaders(Buffer.from(`NATS/1.0\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
};

/** The line that continues a trace; nothing without one. Ours, so it needs no check. */
const traceLine = (traceparent: string | undefined): string =>
  traceparent === undefined ? '' : `${HEADER_TRACEPARENT}: ${traceparent}\r\n`;

/** `Nats-Msg-Id`: the broker drops a repeat within the window. `id` must be a token of ours (checked where it is parsed). */
export const msgIdHeader = (id: string, traceparent?: string): RawHeaders =>
  new RawHeaders(
    Buffer.from(`NATS/1.0\r\n${HEADER_MSG_ID}: ${id}\r\n${traceLine(traceparent)}\r\n`, 'latin1'),
  );

/**
 * `Nats-Expected-Last-Sequence`: the append is refused (10071) unless the stream's last sequence is `seq`. `hasMore`: other
 * events of its command follow.
 */
export const expectedLastSeqHeader = (seq: number, traceparent?: string, hasMore = false): RawHeaders => {
  const lines = `${hasMore ? moreLine : ''}${traceLine(traceparent)}`;
  return new RawHeaders(
    Buffer.from(`NATS/1.0\r\n${HEADER_EXPECTED_LAST_SEQ}: ${seq}\r\n${lines}\r\n`, 'latin1'),
  );
};

const moreLine = `${HEADER_MORE_OF_COMMAND}: 1\r\n`;
