import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { isErrorCode } from '@chat/contracts/errors';
import { guardFrame, isTooDeep } from './frame-guard.ts';

const guard = (text: string | Buffer, isBinary = false, maxBytes = 65_536) =>
  guardFrame(Buffer.isBuffer(text) ? text : Buffer.from(text), isBinary, maxBytes);
const codeOf = (text: string | Buffer, isBinary = false, maxBytes?: number): string => {
  const result = guard(text, isBinary, maxBytes);
  return result.ok ? 'ok' : result.code;
};
const nested = (depth: number): string =>
  `{"t":"cmd","id":"x","name":"y","data":${'['.repeat(depth)}${']'.repeat(depth)}}`;

describe('the frame guard', () => {
  it.each([
    ['{"t":"ping"}', 'ok'],
    ['{"t":"cmd","id":"x","name":"message.send","data":{"text":"{[{[{[{["}}', 'ok'],
    ['', 'FRAME_NOT_JSON'],
    ['{', 'FRAME_NOT_JSON'],
    ['null', 'FRAME_NOT_JSON'],
    ['[]', 'FRAME_NOT_JSON'],
    ['"hello"', 'FRAME_NOT_JSON'],
    ['{}', 'FRAME_UNKNOWN'],
    ['{"t":"constructor"}', 'FRAME_UNKNOWN'],
    ['{"t":7}', 'FRAME_UNKNOWN'],
    ['{"t":"ping","id":7}', 'FRAME_INVALID'],
    ['{"t":"ping","extra":1}', 'FRAME_INVALID'],
    ['{"t":"ack","seq":-1}', 'FRAME_INVALID'],
    ['{"t":"ack","seq":1.5}', 'FRAME_INVALID'],
    ['{"t":"cmd","id":"x","name":"y"}', 'FRAME_INVALID'],
    ['{"t":"hello","token":""}', 'FRAME_INVALID'],
    ['{"t":"hello","cursor":{"epoch":"e"}}', 'FRAME_INVALID'],
  ])('%s → %s', (text, code) => {
    expect(codeOf(text)).toBe(code);
  });

  it('refuses binary, broken UTF-8, and what is too large, before looking further', () => {
    expect(codeOf('{"t":"ping"}', true)).toBe('FRAME_NOT_TEXT');
    expect(codeOf(Buffer.from([0x22, 0xc3, 0x28, 0x22]))).toBe('FRAME_NOT_TEXT');
    expect(codeOf('{"t":"ping"}', false, 5)).toBe('FRAME_TOO_LARGE');
  });

  it('refuses what is nested deeper than 16, and only that', () => {
    expect(codeOf(nested(15))).toBe('ok');
    expect(codeOf(nested(16))).toBe('FRAME_TOO_DEEP');
    expect(codeOf(nested(30_000))).toBe('FRAME_TOO_DEEP');
    expect(isTooDeep(`["${'['.repeat(100)}\\"${'{'.repeat(100)}"]`, 16)).toBe(false);
  });

  it('answers any bytes with a frame or a code of the catalogue, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, isBinary) => {
        const result = guard(Buffer.from(bytes), isBinary);
        expect(result.ok || isErrorCode(result.code)).toBe(true);
      }),
    );
    fc.assert(
      fc.property(fc.json({ maxDepth: 30 }), (text) => {
        const result = guard(text);
        expect(result.ok || isErrorCode(result.code)).toBe(true);
      }),
    );
  });
});
