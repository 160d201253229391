import { MongoServerError } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { storeFaultOf } from './store-fault.ts';

const serverError = (code: number): MongoServerError =>
  new MongoServerError({ message: 'it holds {text: "a secret"}', code });

describe('an error of MongoDB', () => {
  it.each([
    ['the cursor is gone with the server that had it', 43],
    ['the time is over', 50],
    ['no server of the wanted kind', 133],
    ['the primary stepped down', 189],
    ['the cursor was killed', 237],
    ['not primary', 10_107],
    ['the operation was killed', 11_601],
  ])('that passes is UNAVAILABLE: %s', (_, code) => {
    expect(storeFaultOf(serverError(code))).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it.each([
    ['unauthorized', 13],
    ['a document that is too large', 10_334],
  ])('that a person must look at is a fault: %s', (_, code) => {
    expect(storeFaultOf(serverError(code))).toMatchObject({ code: 'READ_STORE_FAULT' });
  });

  it('is told by its name and code: its message may hold a text', () => {
    for (const code of [13, 43]) expect(String(storeFaultOf(serverError(code)))).not.toContain('secret');
  });

  it('and any other error is given back as it is', () => {
    const error = new TypeError('x');
    expect(storeFaultOf(error)).toBe(error);
  });
});
