import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lastSeqOfRefusal, parsePubAck } from './pub-ack.ts';

describe('parsePubAck', () => {
  it.each([
    ['{"stream":"EVT_0", "seq":17}', { kind: 'ok', stream: 'EVT_0', seq: 17, duplicate: false }],
    ['{"stream":"EVT_0","seq":17}', { kind: 'ok', stream: 'EVT_0', seq: 17, duplicate: false }],
    [
      '{"stream":"CMD_12", "seq":9,"duplicate": true}',
      { kind: 'ok', stream: 'CMD_12', seq: 9, duplicate: true },
    ],
    [
      '{"stream":"EVT_0", "seq":17,"domain":"hub"}',
      { kind: 'ok', stream: 'EVT_0', seq: 17, duplicate: false },
    ],
    [
      '{"domain":"hub","stream":"S","seq":1,"duplicate":true}',
      { kind: 'ok', stream: 'S', seq: 1, duplicate: true },
    ],
    [
      '{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"EVT_0","seq":0}',
      { kind: 'error', code: 10071, description: 'wrong last sequence: 5' },
    ],
    [
      '{"stream":"EVT_0","seq":0,"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}',
      { kind: 'error', code: 10077, description: 'maximum bytes exceeded' },
    ],
    [
      '{"stream":"EVT_0","seq":5,"error":{"code":503,"err_code":10077,"description":"x"}}',
      { kind: 'error', code: 10077, description: 'x' },
    ],
  ])('reads %s', (json, expected) => expect(parsePubAck(json)).toEqual(expected));

  it.each([
    '',
    '{',
    'null',
    '[]',
    '{"stream":"S"',
    '{"stream":"S", "seq":',
    '{"stream":"S", "seq":1',
    '+ACK',
    '{"stream":7,"seq":1}',
  ])('does not take %j for an acknowledgement', (json) => expect(parsePubAck(json).kind).toBe('error'));

  it('agrees with JSON.parse on whatever a server may write', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Z_0-9]{1,12}$/),
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        fc.boolean(),
        (stream, seq, duplicate) => {
          const expected = { kind: 'ok', stream, seq, duplicate };
          expect(
            parsePubAck(JSON.stringify(duplicate ? { stream, seq, duplicate } : { stream, seq })),
          ).toEqual(expected);
          expect(
            parsePubAck(`{"stream":"${stream}", "seq":${seq}${duplicate ? ',"duplicate": true' : ''}}`),
          ).toEqual(expected);
        },
      ),
    );
  });

  it('never says stored for a truncated or foreign answer', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (parsePubAck(text).kind !== 'ok') return;
        expect(JSON.parse(text)).toHaveProperty('seq');
      }),
    );
    const whole = '{"stream":"EVT_0", "seq":17,"duplicate": true}';
    for (let length = 0; length < whole.length; length++)
      expect(parsePubAck(whole.slice(0, length)).kind).toBe('error');
  });

  it('tells from a refusal where the stream stands', () => {
    expect(lastSeqOfRefusal({ kind: 'error', code: 10071, description: 'wrong last sequence: 42' })).toBe(42);
    expect(
      lastSeqOfRefusal({ kind: 'error', code: 10077, description: 'wrong last sequence: 42' }),
    ).toBeUndefined();
    expect(lastSeqOfRefusal({ kind: 'timeout' })).toBeUndefined();
  });
});
