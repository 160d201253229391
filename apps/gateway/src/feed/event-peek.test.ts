import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { encodeEvent } from '@chat/contracts/events';
import type { ChannelId, CommandId, UserId } from '@chat/contracts/ids';
import { actorOfKey, commandKey, peekCommandKey, peekHead, peekIsType, peekSeq } from './event-peek.ts';

const id = '018f3c1e-7b7a-7c3a-8f00-0123456789ab' as CommandId;
const channelId = '018f3c1e-7b7a-7c3a-8f00-ffffffffffff' as ChannelId;
const longest = 'u'.repeat(64) as UserId;

const encode = (seq: number, actor: UserId, text: string, withChannel: boolean): Buffer =>
  Buffer.from(
    encodeEvent(
      seq,
      'message.sent',
      1,
      Date.now(),
      withChannel ? channelId : undefined,
      withChannel ? Number.MAX_SAFE_INTEGER : undefined,
      id,
      'abcdefghijklmnop',
      actor,
      JSON.stringify({ text }),
    ),
  );

describe('peeking into an encoded event', () => {
  it('finds seq, type, command and actor of what encodeEvent writes, whatever the text says', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
        fc.oneof(fc.string({ unit: 'grapheme' }), fc.constant('","data":"commandId":"x","actor":"mallory"')),
        fc.boolean(),
        (seq, actor, text, withChannel) => {
          const bytes = encode(seq, actor as UserId, text, withChannel);
          const head = peekHead(bytes);
          const key = peekCommandKey(head);
          expect(peekSeq(bytes)).toBe(seq);
          expect(key).toBe(commandKey(id, 'abcdefghijklmnop', actor as UserId));
          expect(actorOfKey(key)).toBe(actor);
          expect(peekIsType(head, 'message.sent')).toBe(true);
          expect(peekIsType(head, 'message')).toBe(false);
        },
      ),
    );
  });

  it('finds the command behind the longest ids and numbers', () => {
    const bytes = encode(Number.MAX_SAFE_INTEGER, longest, 'x', true);
    expect(actorOfKey(peekCommandKey(peekHead(bytes)))).toBe(longest);
  });

  it('answers -1 for bytes that do not begin with a seq', () => {
    for (const bytes of ['', '{', '{"seq":', '{"seq":}', '{"seq":12', '{"seq":1x,', '{"sqq"', '[1,2,3,4,5]'])
      expect(peekSeq(Buffer.from(bytes))).toBe(-1);
  });
});
