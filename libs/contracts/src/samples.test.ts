import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { Value } from 'typebox/value';
import { expect, it } from 'vitest';
import { type EventElement, type EventType, encodeEvent, eventVersions } from './events.ts';
import { eventElementSchema } from './server-frame-schemas.ts';
import { type StoredEvent, readStoredEvent } from './upcast.ts';

type Sample = { readonly scope: string; readonly event: StoredEvent };

const folder = new URL('../samples/', import.meta.url);
const read = (file: string): unknown => JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
const lock = read('lock.json') as Readonly<Record<string, string>>;
const names = readdirSync(folder)
  .filter((file) => file !== 'lock.json')
  .map((file) => file.replace(/\.json$/, ''))
  .sort();
const sampleOf = (name: string): Sample => read(`${name}.json`) as Sample;
/** Of the content, however the file is laid out. */
const digestOf = (name: string): string =>
  createHash('sha256')
    .update(JSON.stringify(read(`${name}.json`)))
    .digest('base64url')
    .slice(0, 22);
const written = Object.entries(eventVersions).flatMap(([type, today]) =>
  Array.from({ length: today }, (_, at) => `${type}.v${at + 1}`),
);

it('there is a sample of every event version that was ever written, and of nothing else', () => {
  expect(names).toEqual([...written].sort());
});

it('no sample was changed, removed or added without its line in lock.json', () => {
  // A new version: add its sample and the digest that this test names. A line that stands here never changes.
  expect(Object.fromEntries(names.map((name) => [name, digestOf(name)]))).toEqual(lock);
});

it.each(names)('%s is read as the event that is written today', (name) => {
  const { event } = sampleOf(name);
  expect(`${event.type}.v${event.v}`).toBe(name);
  const today = readStoredEvent(event);
  expect(today).toMatchObject({ seq: event.seq, type: event.type, v: eventVersions[today.type] });
  expect(Value.Check(eventElementSchema(today.type), today)).toBe(true);
});

const isOfToday = (name: string): boolean => {
  const { type, v } = sampleOf(name).event;
  return eventVersions[type as EventType] === v;
};

it.each(names.filter(isOfToday))('%s is to the byte what the writer writes', (name) => {
  const stored = sampleOf(name).event as EventElement;
  const { seq, type, v, at, channelId, channelSeq, commandId, hash, actor, data } = stored;
  const json = JSON.stringify(data);
  expect(encodeEvent(seq, type, v, at, channelId, channelSeq, commandId, hash, actor, json)).toBe(
    JSON.stringify(stored),
  );
});

it('the samples are one history: numbered from 1 without a hole', () => {
  const seqs = names.map((name) => sampleOf(name).event.seq).sort((a, b) => a - b);
  expect(seqs).toEqual(names.map((_, at) => at + 1));
});
