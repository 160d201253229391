import { expect, it } from 'vitest';
import {
  type StoredEvent,
  UnknownEventFault,
  type Upcasters,
  createUpcast,
  readStoredEvent,
} from './upcast.ts';

/** A made-up type with a past: v1 {text}, v2 {body}, v3 {body, lang}. */
const versions = { 'note.taken': 3, 'note.dropped': 1 };
const steps: Upcasters = {
  'note.taken': {
    1: (event) => ({ ...event, data: { body: (event.data as { text: string }).text } }),
    2: (event) => ({ ...event, data: { ...(event.data as object), lang: 'und' } }),
  },
};
const upcast = createUpcast(versions, steps);
const note = (v: number, data: unknown): StoredEvent => ({ seq: 7, type: 'note.taken', v, data });
const today = { kind: 'read', event: note(3, { body: 'x', lang: 'und' }) };

it('an event of any version is read as one of today, step by step', () => {
  expect(upcast(note(1, { text: 'x' }))).toEqual(today);
  expect(upcast(note(2, { body: 'x' }))).toEqual(today);
});

it('an event of today is passed on as it is, and none is changed in place', () => {
  const stored = note(3, { body: 'x', lang: 'und' });
  const read = upcast(stored);
  expect(read.kind === 'read' && read.event).toBe(stored);
  const old = Object.freeze(note(1, Object.freeze({ text: 'x' })));
  expect(upcast(old)).toEqual(today);
});

it.each([4, 0, -1, 1.5, '1', undefined, null, NaN])('version %s is refused by name, never guessed', (v) => {
  expect(upcast(note(v as number, {}))).toEqual({ kind: 'unknown_version', type: 'note.taken', v });
});

it.each(['note.burnt', 'toString', '__proto__', 'constructor'])('type %s is refused by name', (type) => {
  expect(upcast({ ...note(1, {}), type })).toEqual({ kind: 'unknown_type', type, v: 1 });
});

it('a reader without the whole way from the first version to today is not made', () => {
  const only = (...from: number[]): Upcasters => ({
    'note.taken': Object.fromEntries(from.map((v) => [v, (event: StoredEvent) => event])),
  });
  for (const bad of [{}, only(1), only(2), only(1, 3), only(1, 2, 3), { ...steps, 'note.lost': {} }])
    expect(() => createUpcast(versions, bad)).toThrow(RangeError);
});

it('the fault names seq, type and version, and nothing of the content', () => {
  const stored = { seq: 9, type: 'message.sent', v: 99, data: { text: 'secret words' } };
  expect(() => readStoredEvent(stored)).toThrow(UnknownEventFault);
  try {
    readStoredEvent(stored);
  } catch (fault) {
    expect(fault).toMatchObject({ code: 'EVENT_UNKNOWN', type: 'message.sent', version: 99 });
    expect((fault as Error).message).toBe(
      'event 9 is of type message.sent version 99, which is not known here',
    );
  }
});
