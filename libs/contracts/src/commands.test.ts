import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { commandSchemas, encodeCommand, parseCommand, textFault } from './commands.ts';
import { parseCommandId, parseUserId } from './ids.ts';
import { TEXT_MAX_BYTES } from './limits.ts';

const channelId = '018f0000-0000-7000-8000-000000000001';

describe('parseCommand', () => {
  it('equal wishes have equal bytes whatever the key order and the case of ids', () => {
    const one = parseCommand('message.send', { channelId, text: 'hi' });
    const two = parseCommand('message.send', { text: 'hi', channelId: channelId.toUpperCase() });
    expect(one.ok && one.dataJson).toBe(two.ok && two.dataJson);
  });

  it('the members of a direct channel are a set', () => {
    const one = parseCommand('channel.create', { kind: 'direct', memberIds: ['bob', 'alice', 'bob'] });
    expect(one).toMatchObject({ ok: true, wish: { data: { kind: 'direct', memberIds: ['alice', 'bob'] } } });
  });

  it.each([
    ['message.send', { channelId }],
    ['message.send', { channelId, text: 1 }],
    ['message.send', { channelId: 'x'.repeat(36), text: 'a' }],
    ['message.send', { channelId, text: 'a', extra: 1 }],
    ['message.send', null],
    ['message.send', []],
    ['channel.create', { kind: 'public' }],
    ['channel.create', { kind: 'public', name: '\u0007bell' }],
    ['channel.create', { kind: 'direct' }],
    ['channel.create', { kind: 'direct', memberIds: [] }],
    ['channel.create', { kind: 'secret', name: 'x' }],
    ['read.mark', { channelId, channelSeq: 0 }],
    ['read.mark', { channelId, channelSeq: 1.5 }],
    ['member.add', { userId: 'a.b' }],
    ['member.add', { userId: 'bob', role: 'owner' }],
  ])('refuses %s %j with a code and a sentence', (name, data) => {
    expect(parseCommand(name, data)).toMatchObject({ ok: false, code: 'COMMAND_INVALID' });
  });

  it('refuses an unknown command, also one named like an object method', () => {
    for (const name of ['message.delete', 'toString', '__proto__', 5, undefined]) {
      expect(parseCommand(name, {})).toMatchObject({ ok: false, code: 'COMMAND_UNKNOWN' });
    }
  });

  it('never throws and never answers anything unclear', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(commandSchemas), 'nope'), fc.jsonValue(), (name, data) => {
        const parsed = parseCommand(name, data);
        expect(parsed.ok || typeof parsed.code === 'string').toBe(true);
      }),
    );
  });
});

describe('textFault', () => {
  it.each([
    ['a\u0000b', 'MSG_TEXT_INVALID'],
    ['\ud800', 'MSG_TEXT_INVALID'],
    ['', 'MSG_TEXT_EMPTY'],
    ['  \n', 'MSG_TEXT_EMPTY'],
    ['a'.repeat(TEXT_MAX_BYTES + 1), 'MSG_TEXT_TOO_LONG'],
    ['日'.repeat(TEXT_MAX_BYTES / 3 + 1), 'MSG_TEXT_TOO_LONG'],
    ['a'.repeat(TEXT_MAX_BYTES), undefined],
    ['👩‍👩‍👧‍👦', undefined],
  ])('%# is %s', (text, fault) => expect(textFault(text)).toBe(fault));

  it('counts bytes of UTF-8 exactly at the bound', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (piece) => {
        const text = piece.repeat(Math.ceil((TEXT_MAX_BYTES * 1.2) / Buffer.byteLength(piece)));
        const cut = Buffer.from(text)
          .subarray(0, TEXT_MAX_BYTES + 3)
          .toString();
        fc.pre(cut.isWellFormed() && !cut.includes('\u0000') && cut.trim().length > 0);
        const isTooLong = Buffer.byteLength(cut) > TEXT_MAX_BYTES;
        expect(textFault(cut) === 'MSG_TEXT_TOO_LONG').toBe(isTooLong);
      }),
    );
  });
});

it('an encoded command is the JSON of its envelope', () => {
  const parsed = parseCommand('message.send', { channelId, text: 'zeile\n"quoted" \u2028' });
  if (!parsed.ok) throw new Error(parsed.code);
  const id = parseCommandId('018f0000-0000-7000-8000-00000000000a')!;
  expect(
    JSON.parse(encodeCommand(id, parseUserId('alice')!, 'h', 'message.send', 5, parsed.dataJson)),
  ).toEqual({
    v: 1,
    id,
    actor: 'alice',
    hash: 'h',
    name: 'message.send',
    at: 5,
    data: parsed.wish.data,
  });
});
