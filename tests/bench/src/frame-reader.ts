/**
 * Reads what a chat server sends without reading the messages: the header of each WebSocket frame, the head of
 * each event element, and whole only the small frames (welcome, persisted, rejected …).
 *
 * States of a reader: handshake → frame header → (whole small frame | element, element, … of an events frame).
 * Bytes of the text are skipped by length, also over several reads. What is cut off by the end of a read (at
 * most `CARRY_MAX_BYTES`) is kept and put in front of the next read: every piece the parser looks at is contiguous.
 */

import { EVENTS_PREFIX, EVENTS_SUFFIX } from '@chat/contracts/frames';
import { type ElementLayout, SEQ_PREFIX_BYTES, elementHeadBytes } from './element-layout.ts';

/** Largest piece that must be contiguous: a small frame, or the head of an element. More is a fault. */
export const CARRY_MAX_BYTES = 16 * 1024;

/** Answer of a piece that is not whole yet. */
const MORE = -1;
const COMMA = 44;
const BRACE_OPEN = 123;
const BRACKET_CLOSE = 93;
const handshakeEnd = Buffer.from('\r\n\r\n');

export type FrameSink = {
  onOpen(): void;
  /** A message: its place in the channel, and where its command id begins in `bytes` (valid only in the call). */
  onMessage(channelSeq: number, bytes: Buffer, idAt: number): void;
  /** Any other event, as text. */
  onOtherEvent(json: string): void;
  /** Any frame but `events`, as text. */
  onFrame(json: string): void;
  onClose(code: number, reason: string): void;
  onFault(what: string): void;
};

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #layout: ElementLayout;
  readonly #headBytes: number;
  #isOpen = false;
  #isBroken = false;
  /** Bytes still to skip of the element whose head was read. */
  #skipBytes = 0;
  /** Payload bytes left in the events frame, after what is to be skipped. 0: at a frame header. */
  #frameLeftBytes = 0;
  #carry: Buffer | undefined;
  #carryBytes = 0;

  constructor(sink: FrameSink, layout: ElementLayout) {
    this.#sink = sink;
    this.#layout = layout;
    this.#headBytes = elementHeadBytes(layout);
  }

  /**
   * `bytes[start, end)` was just read; the `CARRY_MAX_BYTES` before `start` are the reader's to write the kept
   * rest into, so that nothing else is ever copied.
   */
  read(bytes: Buffer, start: number, end: number): void {
    if (this.#isBroken) return;
    let from = start;
    if (this.#carryBytes > 0) {
      from = start - this.#carryBytes;
      this.#carry!.copy(bytes, from, 0, this.#carryBytes);
      this.#carryBytes = 0;
    }
    if (!this.#isOpen) from = this.#readHandshake(bytes, from, end);
    while (from < end && !this.#isBroken) {
      const next = this.#readPiece(bytes, from, end);
      if (next === MORE) return this.#keep(bytes, from, end);
      from = next;
    }
  }

  #keep(bytes: Buffer, from: number, end: number): void {
    if (this.#isBroken) return;
    if (end - from > CARRY_MAX_BYTES) return this.#break(`a piece of more than ${CARRY_MAX_BYTES} bytes`);
    this.#carry ??= Buffer.allocUnsafe(CARRY_MAX_BYTES);
    this.#carryBytes = bytes.copy(this.#carry, 0, from, end);
  }

  #break(what: string): void {
    this.#isBroken = true;
    this.#sink.onFault(what);
  }

  #readHandshake(bytes: Buffer, from: number, end: number): number {
    const at = bytes.subarray(from, end).indexOf(handshakeEnd);
    if (at < 0) {
      this.#keep(bytes, from, end);
      return end;
    }
    const head = bytes.toString('latin1', from, from + at);
    if (!head.startsWith('HTTP/1.1 101')) {
      this.#break(`upgrade refused: ${head.slice(0, 120)}`);
      return end;
    }
    this.#isOpen = true;
    this.#sink.onOpen();
    return from + at + handshakeEnd.length;
  }

  /** Reads one piece and says where the next begins; MORE when more bytes are needed. */
  #readPiece(bytes: Buffer, from: number, end: number): number {
    if (this.#skipBytes > 0) {
      const skipped = Math.min(this.#skipBytes, end - from);
      this.#skipBytes -= skipped;
      return from + skipped;
    }
    return this.#frameLeftBytes > 0 ? this.#readElement(bytes, from, end) : this.#readFrame(bytes, from, end);
  }

  #readFrame(bytes: Buffer, from: number, end: number): number {
    if (end - from < 2) return MORE;
    const short = bytes[from + 1]!;
    const headerBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (end - from < headerBytes) return MORE;
    const payloadBytes =
      short < 126
        ? short
        : short === 126
          ? bytes.readUInt16BE(from + 2)
          : Number(bytes.readBigUInt64BE(from + 2));
    const at = from + headerBytes;
    const opcode = bytes[from]! & 0x0f;
    if (opcode === 1 && payloadBytes > EVENTS_PREFIX.length) {
      if (end - at < EVENTS_PREFIX.length) return MORE;
      // `{"t":"ev`: no other frame begins so
      if (bytes[at + 6] === 101 && bytes[at + 7] === 118) {
        this.#frameLeftBytes = payloadBytes - EVENTS_PREFIX.length;
        return at + EVENTS_PREFIX.length;
      }
    }
    if (end - at < payloadBytes) return MORE;
    this.#smallFrame(opcode, bytes, at, at + payloadBytes);
    return at + payloadBytes;
  }

  #smallFrame(opcode: number, bytes: Buffer, at: number, end: number): void {
    if (opcode === 1) this.#sink.onFrame(bytes.toString('utf8', at, end));
    else if (opcode === 8)
      this.#sink.onClose(
        end - at >= 2 ? bytes.readUInt16BE(at) : 1005,
        bytes.toString('utf8', Math.min(at + 2, end), end),
      );
    else if (opcode !== 9 && opcode !== 10) this.#break(`a frame of opcode ${opcode}`);
  }

  /** At `,`, at the first byte of an element, or at `]}`. */
  #readElement(bytes: Buffer, from: number, end: number): number {
    const first = bytes[from];
    if (first === COMMA) {
      this.#frameLeftBytes -= 1;
      return from + 1;
    }
    if (first === BRACKET_CLOSE) {
      if (this.#frameLeftBytes !== EVENTS_SUFFIX.length) this.#break('an events frame ends early');
      this.#skipBytes = this.#frameLeftBytes;
      this.#frameLeftBytes = 0;
      return from;
    }
    if (first !== BRACE_OPEN) {
      this.#break('no element where one should begin');
      return end;
    }
    if (end - from < Math.min(this.#headBytes, this.#frameLeftBytes)) return MORE;
    let p = from + SEQ_PREFIX_BYTES;
    while (bytes[p] !== COMMA) p += 1;
    // `,"type":"mes` of message.sent
    if (bytes[p + 9] !== 109 || bytes[p + 10] !== 101 || bytes[p + 11] !== 115)
      return this.#readOther(bytes, from, end);
    p += this.#layout.middleBytes;
    let channelSeq = 0;
    for (let digit = bytes[p]! - 48; digit >= 0 && digit <= 9; digit = bytes[p]! - 48) {
      channelSeq = channelSeq * 10 + digit;
      p += 1;
    }
    this.#hop(p + this.#layout.tailBytes - from);
    this.#sink.onMessage(channelSeq, bytes, p + this.#layout.idOffsetBytes);
    return from;
  }

  /** The element is counted; what remains of it is skipped by length. */
  #hop(elementBytes: number): void {
    if (elementBytes > this.#frameLeftBytes - EVENTS_SUFFIX.length)
      this.#break('an element longer than its frame');
    this.#skipBytes = elementBytes;
    this.#frameLeftBytes -= elementBytes;
  }

  /** An event that is not a message: read whole. Rare (what seeding left), so the end is found by scanning. */
  #readOther(bytes: Buffer, from: number, end: number): number {
    let depth = 0;
    let isInString = false;
    for (let p = from; p < end; p += 1) {
      const byte = bytes[p];
      if (isInString) {
        if (byte === 92) p += 1;
        else if (byte === 34) isInString = false;
      } else if (byte === 34) isInString = true;
      else if (byte === 123) depth += 1;
      else if (byte === 125 && (depth -= 1) === 0) {
        this.#hop(p + 1 - from);
        this.#sink.onOtherEvent(bytes.toString('utf8', from, p + 1));
        return from;
      }
    }
    return MORE;
  }
}
