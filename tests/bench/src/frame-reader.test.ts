import { encodeEvent } from '@chat/contracts/events';
import { EVENTS_PREFIX, EVENTS_SUFFIX } from '@chat/contracts/frames';
import type { ChannelId, CommandId, UserId } from '@chat/contracts/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementLayout } from './element-layout.ts';
import { CARRY_MAX_BYTES, FrameReader, type FrameSink } from './frame-reader.ts';

const TEXT = 'twelve chars';
const ACTOR = 'b000001';
const layout = elementLayout(ACTOR.length, TEXT.length);
const channelId = '018f0000-0000-7000-8000-000000000001' as ChannelId;
const idOf = (n: number) => `018f0000-0000-7000-8000-${n.toString(16).padStart(12, '0')}` as CommandId;

type Item = { readonly kind: 'message' | 'other'; readonly seq: number; readonly channelSeq: number };

const element = ({ kind, seq, channelSeq }: Item): string =>
  kind === 'message'
    ? encodeEvent(
        seq,
        'message.sent',
        1,
        1_790_000_000_000,
        channelId,
        channelSeq,
        idOf(channelSeq),
        'h'.repeat(16),
        ACTOR as UserId,
        JSON.stringify({ text: TEXT }),
      )
    : encodeEvent(
        seq,
        'member.added',
        1,
        1_790_000_000_000,
        channelId,
        undefined,
        idOf(seq),
        'h'.repeat(16),
        ACTOR as UserId,
        JSON.stringify({ userId: 'x', name: 'a "}], \\ b' }),
      );

const frame = (payload: string | Buffer, opcode = 1): Buffer => {
  const bytes = Buffer.from(payload);
  const header =
    bytes.length < 126
      ? Buffer.from([0x80 | opcode, bytes.length])
      : bytes.length < 65_536
        ? Buffer.from([0x80 | opcode, 126, bytes.length >> 8, bytes.length & 255])
        : Buffer.concat([Buffer.from([0x80 | opcode, 127, 0, 0, 0, 0]), Buffer.alloc(4)]);
  if (bytes.length >= 65_536) header.writeUInt32BE(bytes.length, 6);
  return Buffer.concat([header, bytes]);
};

const upgrade: Buffer = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');

/** Feeds `stream` in pieces of the given sizes (the last size again and again) and notes what the reader says. */
const readAll = (stream: Buffer, sizes: readonly number[]) => {
  const seen: unknown[] = [];
  const sink: FrameSink = {
    onOpen: () => seen.push('open'),
    onMessage: (channelSeq, bytes, idAt) =>
      seen.push([channelSeq, bytes.toString('latin1', idAt, idAt + 36)]),
    onOtherEvent: (json) => seen.push(json),
    onFrame: (json) => seen.push(json),
    onClose: (code, reason) => seen.push(['close', code, reason]),
    onFault: (what) => seen.push(['fault', what]),
  };
  const reader = new FrameReader(sink, layout);
  const shared = Buffer.alloc(CARRY_MAX_BYTES + 100_000, 0x7b);
  let at = 0;
  for (let turn = 0; at < stream.length; turn += 1) {
    const size = Math.min(sizes[Math.min(turn, sizes.length - 1)]!, stream.length - at);
    stream.copy(shared, CARRY_MAX_BYTES, at, at + size);
    reader.read(shared, CARRY_MAX_BYTES, CARRY_MAX_BYTES + size);
    at += size;
  }
  return seen;
};

const itemArb: fc.Arbitrary<Item> = fc.record({
  kind: fc.constantFrom('message', 'message', 'message', 'other'),
  seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  channelSeq: fc.integer({ min: 1, max: 2_000_000_000 }),
});
const small = '{"t":"persisted","id":"018f0000-0000-7000-8000-000000000001","seq":5}';
const framesArb = fc.array(fc.oneof(fc.constant(small), fc.array(itemArb, { maxLength: 30 })), {
  maxLength: 12,
});

describe('FrameReader', () => {
  it('sees every element once and in order, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        framesArb,
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }),
        (frames, sizes) => {
          const expected: unknown[] = ['open'];
          const parts: Buffer[] = [upgrade];
          for (const of of frames) {
            if (typeof of === 'string') {
              parts.push(frame(of));
              expected.push(of);
              continue;
            }
            parts.push(frame(EVENTS_PREFIX + of.map(element).join(',') + EVENTS_SUFFIX));
            for (const item of of)
              expected.push(
                item.kind === 'message' ? [item.channelSeq, idOf(item.channelSeq)] : element(item),
              );
          }
          expect(readAll(Buffer.concat(parts), sizes)).toEqual(expected);
        },
      ),
    );
  });

  it('reads a frame longer than 64 KiB', () => {
    const items = Array.from({ length: 400 }, (_, n): Item => ({
      kind: 'message',
      seq: n + 1,
      channelSeq: n + 1,
    }));
    const long = frame(EVENTS_PREFIX + items.map(element).join(',') + EVENTS_SUFFIX);
    expect(long.length).toBeGreaterThan(70_000);
    expect(readAll(Buffer.concat([upgrade, long, frame(small)]), [65_536])).toHaveLength(402);
  });

  it('an element of another length than expected is a fault, not a wrong count', () => {
    const longer = element({ kind: 'message', seq: 1, channelSeq: 1 }).replace(TEXT, `${TEXT}!`);
    const seen = readAll(
      Buffer.concat([upgrade, frame(`${EVENTS_PREFIX}${longer},${longer}${EVENTS_SUFFIX}`)]),
      [4096],
    );
    expect(seen.at(-1)).toEqual(['fault', expect.any(String)]);
  });

  it('says that the upgrade was refused, and with what close code a server left', () => {
    expect(readAll(Buffer.from('HTTP/1.1 403 Forbidden\r\n\r\n'), [4096])).toEqual([
      ['fault', expect.stringContaining('403')],
    ]);
    const close = Buffer.concat([Buffer.from([4000 >> 8, 4000 & 255]), Buffer.from('draining')]);
    expect(readAll(Buffer.concat([upgrade, frame(close, 8)]), [3])).toEqual([
      'open',
      ['close', 4000, 'draining'],
    ]);
  });
});
