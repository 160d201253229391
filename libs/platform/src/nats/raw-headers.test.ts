import { describe, expect, it } from 'vitest';
import { encodeHeaders, expectedLastSeqHeader, msgIdHeader } from './raw-headers.ts';

const text = (headers: { encode(): Uint8Array }): string => Buffer.from(headers.encode()).toString('latin1');
const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

describe('encoded headers', () => {
  it('hold nothing of a trace when there is none', () => {
    expect(text(msgIdHeader('u.1.h'))).toBe('NATS/1.0\r\nNats-Msg-Id: u.1.h\r\n\r\n');
    expect(text(expectedLastSeqHeader(6))).toBe('NATS/1.0\r\nNats-Expected-Last-Sequence: 6\r\n\r\n');
  });

  it('carry the trace as a line of its own', () => {
    expect(text(msgIdHeader('u.1.h', traceparent))).toBe(
      `NATS/1.0\r\nNats-Msg-Id: u.1.h\r\ntraceparent: ${traceparent}\r\n\r\n`,
    );
    expect(text(expectedLastSeqHeader(6, traceparent))).toBe(
      text(encodeHeaders(['Nats-Expected-Last-Sequence: 6', `traceparent: ${traceparent}`])),
    );
  });
});
