import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CURSOR_MAX_LENGTH,
  CURSOR_POSITION_MAX_BYTES,
  type CursorList,
  decodeCursor,
  encodeCursor,
} from './cursor.ts';

const list = ['members', '00aaaaaaaaaaaaaa', '00000000-0000-7000-8000-000000000001'] as const;
const names = fc.string({ unit: 'grapheme', maxLength: 40 });
const lists: fc.Arbitrary<CursorList> = fc.tuple(names, names, names);
const positions = fc
  .string({ unit: 'grapheme' })
  .filter((text) => text.isWellFormed() && Buffer.byteLength(text) <= CURSOR_POSITION_MAX_BYTES);
const directions = fc.constantFrom('before' as const, 'after' as const);

describe('a cursor', () => {
  it('gives back the position it was made of, within its length and safe in a URL', () => {
    const property = fc.property(lists, directions, positions, (of, direction, position) => {
      const cursor = encodeCursor(of, { direction, position });
      expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
      expect(cursor.length).toBeLessThanOrEqual(CURSOR_MAX_LENGTH);
      expect(decodeCursor(of, cursor)).toEqual({ direction, position });
    });
    fc.assert(property);
    const longest = 'x'.repeat(CURSOR_POSITION_MAX_BYTES);
    const cursor = encodeCursor(list, { direction: 'after', position: longest });
    expect(cursor.length).toBeLessThanOrEqual(CURSOR_MAX_LENGTH);
    expect(decodeCursor(list, cursor)?.position).toBe(longest);
    expect(() => encodeCursor(list, { direction: 'after', position: `${longest}x` })).toThrow(RangeError);
  });

  it('of another list is none of this: another kind, team or channel, or the same words cut elsewhere', () => {
    const cursor = encodeCursor(list, { direction: 'after', position: 'ann' });
    expect(decodeCursor(['channels', list[1], list[2]], cursor)).toBeUndefined();
    expect(decodeCursor([list[0], '01aaaaaaaaaaaaaa', list[2]], cursor)).toBeUndefined();
    expect(decodeCursor([list[0], list[1], `${list[2].slice(0, -1)}2`], cursor)).toBeUndefined();
    expect(decodeCursor([list[0], list[1] + list[2]], cursor)).toBeUndefined();
    expect(decodeCursor(list, cursor)).toBeDefined();
  });

  it('that was altered in any one character, cut or lengthened is none', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_ =+/%é\0';
    for (const position of ['4711', 'ann', '']) {
      const cursor = encodeCursor(list, { direction: 'before', position });
      const altered = [`${cursor}=`, `${cursor}AAAA`];
      for (let at = 0; at < cursor.length; at += 1) {
        const [head, tail] = [cursor.slice(0, at), cursor.slice(at)];
        altered.push(head);
        for (const letter of alphabet) altered.push(head + letter + tail, head + letter + tail.slice(1));
      }
      const taken = altered.filter((one) => one !== cursor && decodeCursor(list, one) !== undefined);
      expect(taken).toEqual([]);
    }
  });

  it('may be anything a stranger sends', () => {
    fc.assert(fc.property(fc.string(), (text) => decodeCursor(list, text) === undefined));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 150 }), (bytes) => {
        expect(decodeCursor(list, Buffer.from(bytes).toString('base64url'))).toBeUndefined();
      }),
    );
    expect(decodeCursor(list, 'A'.repeat(1_000_000))).toBeUndefined();
  });
});
