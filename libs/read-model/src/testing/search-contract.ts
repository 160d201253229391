/** The suite every adapter of search passes, with the differential test against the plain search. */

import type { MessageView } from '@chat/contracts/http';
import type { TeamId, UserId } from '@chat/contracts/ids';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LogFault, type ReadEvent, type VisibleChannel } from '../port.ts';
import { type SearchTuning, searchTuning } from '../search/find.ts';
import type { SearchModel, SearchRequest } from '../search/port.ts';
import { parseSearchQuery } from '../search/query.ts';
import { channelOf, historyPartition as partition, teams, users } from './arbitrary-history.ts';
import { arbitraryQuery, arbitraryText } from './arbitrary-texts.ts';
import { applyAll, batchOf, digestOf, epoch } from './contract.ts';
import { HistoryBuilder } from './history-builder.ts';
import { referenceSearch } from './reference-search.ts';

export type SearchHarness = {
  /** The same rows may only be searched with the bucket size they were written with. */
  open(tuning: SearchTuning): SearchModel;
  clear(): Promise<void>;
  /** Checkpoints and counts, not the messages: what a store may be after a crash, or put together from two backups. */
  forget(): Promise<void>;
  close(): Promise<void>;
};

/** So small that short histories go through many windows. */
export const smallTuning: SearchTuning = {
  ...searchTuning,
  recentCount: 3,
  bucketMessageCount: 8,
  maxMs: 60_000,
};

const [team, otherTeam] = teams as [TeamId, TeamId];
const [ann, ben] = users as [UserId, UserId];
const everywhere: readonly VisibleChannel[] = [0, 1, 2].map((n) => ({
  channelId: channelOf(0, n),
  visibleAfter: 0,
}));

type Ask = Partial<Omit<SearchRequest, 'needles' | 'grams'>>;
export const requestOf = (text: string, ask: Ask = {}): SearchRequest => {
  const query = parseSearchQuery(text);
  if (query.kind !== 'query') throw new Error(query.code);
  const { needles, grams } = query;
  const whole = { teamId: team, channels: everywhere, asOf: Number.MAX_SAFE_INTEGER, limitCount: 50 };
  return { ...whole, needles, grams, ...ask };
};

/** All pages, followed to their end. */
export const findAll = async (model: SearchModel, request: SearchRequest): Promise<MessageView[]> => {
  const found: MessageView[] = [];
  for (let below = request.below; ;) {
    const page = await model.find({ ...request, ...(below === undefined ? {} : { below }) });
    if (!page) throw new Error('nothing is applied');
    expect(page.messages.length).toBeLessThanOrEqual(request.limitCount);
    found.push(...page.messages);
    if (page.nextBelow === undefined) return found;
    expect(page.nextBelow).toBeLessThan(below ?? Infinity);
    below = page.nextBelow;
  }
};

const textsOf = (messages: readonly MessageView[]): string[] => messages.map(({ text }) => text);

const historyOf = (
  sayings: readonly (readonly [channel: number, author: number, text: string])[],
): ReadEvent[] => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.createTeam(otherTeam, ann, 'other team');
  for (const [n, kind] of (['public', 'private', 'private'] as const).entries())
    builder.createChannel(team, channelOf(0, n), kind, `channel ${n}`, [ann, ben]);
  builder.createChannel(otherTeam, channelOf(1, 0), 'public', 'elsewhere', [ann]);
  for (const [channel, author, text] of sayings) {
    const actor = author === 0 ? ann : ben;
    if (channel === 3) builder.say(otherTeam, channelOf(1, 0), ann, text);
    else builder.say(team, channelOf(0, channel), actor, text);
  }
  return builder.events;
};

const saying = fc.tuple(fc.nat(3), fc.nat(1), arbitraryText);
const sayings = fc.array(saying, { minLength: 30, maxLength: 60, size: 'max' });
const question = fc.record({
  text: arbitraryQuery,
  /** Instead of it: a piece of what was said. */
  piece: fc.option(fc.tuple(fc.nat(59), fc.nat(12), fc.integer({ min: 1, max: 3 })), {
    nil: undefined,
    freq: 4,
  }),
  channels: fc.array(fc.record({ channel: fc.nat(2), visibleAfter: fc.constantFrom(0, 0, 0, 4) }), {
    maxLength: 6,
    size: 'max',
  }),
  actor: fc.constantFrom(undefined, undefined, undefined, ann, ben),
  asOf: fc.nat(1_000),
  span: fc.constantFrom(
    undefined,
    undefined,
    undefined,
    [20, 30] as const,
    [0, 40] as const,
    [45, 99] as const,
  ),
  limitCount: fc.integer({ min: 1, max: 7 }),
});
type Saying = typeof saying extends fc.Arbitrary<infer S> ? S : never;
type Question = typeof question extends fc.Arbitrary<infer Q> ? Q : never;

const wordsOf = ({ text, piece }: Question, said: readonly Saying[]): string => {
  if (!piece) return text;
  const [index, from, count] = piece;
  const letters = [...(said[index % said.length]?.[2] ?? '')];
  return letters.slice(from % letters.length, (from % letters.length) + count).join('');
};

const asked = (one: Question, said: readonly Saying[], lastSeq: number): SearchRequest | undefined => {
  const words = wordsOf(one, said);
  if (parseSearchQuery(words).kind !== 'query') return undefined;
  const channels = new Map(
    one.channels.map(({ channel, visibleAfter }) => [channelOf(0, channel), visibleAfter]),
  );
  const { span, actor } = one;
  return requestOf(words, {
    channels: [...channels].map(([channelId, visibleAfter]) => ({ channelId, visibleAfter })),
    // Two of three see all of it.
    asOf: one.asOf % 3 === 0 ? one.asOf % (lastSeq + 1) : lastSeq + 1,
    limitCount: one.limitCount,
    ...(actor === undefined ? {} : { actor }),
    ...(span
      ? { afterMs: 1_700_000_000_000 + span[0], beforeMs: 1_700_000_000_000 + span[0] + span[1] }
      : {}),
  });
};

export const describeSearch = (name: string, open: () => Promise<SearchHarness>): void => {
  describe(`search in ${name}`, () => {
    let harness: SearchHarness;
    let model: SearchModel;
    beforeAll(async () => {
      harness = await open();
      model = harness.open(smallTuning);
    }, 60_000);
    beforeEach(() => harness.clear());
    afterAll(() => harness.close());

    it('finds what the plain search finds, page by page, whatever the batches', async () => {
      let hits = 0;
      const property = fc.asyncProperty(
        sayings,
        fc.array(question, { minLength: 12, maxLength: 12 }),
        fc.array(fc.integer({ min: 5, max: 40 }), { minLength: 1, maxLength: 4 }),
        async (said, questions, sizes) => {
          await harness.clear();
          const events = historyOf(said);
          await applyAll(model, events, sizes);
          for (const one of questions) {
            const request = asked(one, said, events.length);
            if (!request) continue;
            const expected = referenceSearch(events, request);
            hits += expected.length;
            expect(await findAll(model, request)).toEqual(expected);
          }
        },
      );
      await fc.assert(property, { numRuns: 8 });
      // Some forty; none at all would mean that nothing was compared.
      expect(hits).toBeGreaterThan(0);
    }, 120_000);

    it('is not changed by a batch or an overlapping range that comes again, and by two that apply at once', async () => {
      const events = historyOf(
        Array.from({ length: 40 }, (_, n) => [n % 4, n % 2, `word number${n}`] as const),
      );
      await Promise.all([applyAll(model, events, [3]), applyAll(model, events, [7])]);
      const expected = referenceSearch(events, requestOf('word'));
      expect(expected).toHaveLength(30);
      for (const [from, upTo] of [
        [0, events.length],
        [5, 20],
        [20, events.length],
      ] as const) {
        const result = await model.applyBatch(batchOf(events, from, upTo));
        expect(result).toMatchObject({ kind: 'applied', checkpoint: { seq: events.length } });
      }
      expect(await findAll(model, requestOf('word', { limitCount: 7 }))).toEqual(expected);
    });

    it('takes messages that stand beyond its checkpoint, whatever the batches', async () => {
      const long = Array.from({ length: 8_000 }, (_, n) => String.fromCodePoint(0x4e00 + n)).join('');
      const events = historyOf(
        Array.from({ length: 16 }, (_, n) => [n % 4, n % 2, n < 2 ? `word ${long}` : `word ${n}`] as const),
      );
      const expected = referenceSearch(events, requestOf('word'));
      expect(expected).toHaveLength(12);
      await applyAll(model, events, [7]);
      for (const sizes of [[5], [events.length], [events.length - 12, 1]]) {
        await harness.forget();
        const other = harness.open(smallTuning);
        await applyAll(other, events, sizes);
        expect(await other.checkpoint(partition)).toMatchObject({ seq: events.length });
        expect(await findAll(other, requestOf('word'))).toEqual(expected);
      }
    }, 60_000);

    it('goes on under what it remembers only while the store is where it left it', async () => {
      const events = historyOf(Array.from({ length: 24 }, (_, n) => [n % 4, n % 2, `word ${n}`] as const));
      const setUp = events.length - 24;
      await applyAll(model, events.slice(0, setUp + 8), [setUp + 4, 2]);
      // Another is faster for a while, and then one of them begins anew.
      await applyAll(harness.open(smallTuning), events.slice(0, setUp + 14), [3]);
      await applyAll(model, events.slice(0, setUp + 20), [1]);
      await harness.clear();
      expect(await model.applyBatch(batchOf(events, setUp + 20, events.length))).toEqual({
        kind: 'gap',
        seq: 0,
      });
      await applyAll(model, events, [6]);
      expect(await findAll(model, requestOf('word'))).toEqual(referenceSearch(events, requestOf('word')));
    });

    describeCheckpoints(() => model);
    describeRights(() => model);
    describeWork(() => harness);
  });
};

const describeCheckpoints = (model: () => SearchModel): void => {
  it('knows nothing of a partition before its first batch, and says how far it is after it', async () => {
    expect(await model().find(requestOf('word'))).toBeUndefined();
    expect(await model().checkpoint(partition)).toBeUndefined();
    const events = historyOf([[0, 0, 'word']]);
    await applyAll(model(), events.slice(0, 4));
    expect(await model().find(requestOf('word'))).toEqual({ epoch, asOf: 4, messages: [] });
  });

  it('refuses a batch that leaves a hole or is of another epoch, until that is adopted', async () => {
    const events = historyOf([[0, 0, 'word']]);
    expect(await model().applyBatch(batchOf(events, 2, 5))).toEqual({ kind: 'gap', seq: 0 });
    expect(await model().checkpoint(partition)).toBeUndefined();
    await applyAll(model(), events.slice(0, 5));
    const checkpoint = { epoch, seq: 5, digest: digestOf(5) };
    const next = { ...batchOf(events, 5, events.length), epoch: 'epoch-2' };
    expect(await model().applyBatch(next)).toEqual({ kind: 'epoch_differs', checkpoint });
    expect(await model().adoptEpoch(partition, { ...checkpoint, seq: 4 }, 'epoch-2')).toBe(false);
    expect(await model().adoptEpoch(partition, checkpoint, 'epoch-2')).toBe(true);
    expect(await model().applyBatch(next)).toMatchObject({ kind: 'applied' });
    expect(await model().find(requestOf('word'))).toMatchObject({
      epoch: 'epoch-2',
      messages: [{ text: 'word' }],
    });
  });

  it('applies nothing of a batch with a message that has no place in a channel', async () => {
    const events = historyOf([
      [0, 0, 'word'],
      [0, 0, 'word'],
    ]);
    const last = events.at(-1)!;
    const { channelSeq: _, ...placeless } = last.event;
    events[events.length - 1] = { ...last, event: placeless } as ReadEvent;
    await expect(model().applyBatch(batchOf(events, 0, events.length))).rejects.toThrow(LogFault);
    expect(await model().checkpoint(partition)).toBeUndefined();
  });
};

const describeRights = (model: () => SearchModel): void => {
  it('gives what is in the channels of the asker, from where they may see it, and nothing else', async () => {
    const events = historyOf(
      [0, 1, 2, 3, 0, 1, 2, 3].map((channel, n) => [channel, 0, `word ${channel}${n}`] as const),
    );
    await applyAll(model(), events);
    const inChannels = async (...channels: (readonly [number, number])[]) =>
      textsOf(
        await findAll(
          model(),
          requestOf('word', {
            channels: channels.map(([n, visibleAfter]) => ({ channelId: channelOf(0, n), visibleAfter })),
          }),
        ),
      );
    expect(await inChannels()).toEqual([]);
    expect(await inChannels([1, 0])).toEqual(['word 15', 'word 11']);
    expect(await inChannels([1, 1], [2, 2], [0, 0])).toEqual(['word 15', 'word 04', 'word 00']);
    // A channel of another team under one's own.
    const foreign = requestOf('word', { channels: [{ channelId: channelOf(1, 0), visibleAfter: 0 }] });
    expect(await findAll(model(), foreign)).toEqual([]);
  });

  it('gives nothing from beyond the point at which the rights were known', async () => {
    const events = historyOf([
      [1, 0, 'word before'],
      [1, 0, 'word after'],
    ]);
    await applyAll(model(), events);
    const page = await model().find(requestOf('word', { asOf: events.length - 1 }));
    expect(page).toMatchObject({ asOf: events.length, messages: [{ text: 'word before' }] });
  });

  it('gives the beginnings of many channels each their due', async () => {
    const events = historyOf(Array.from({ length: 30 }, (_, n) => [1, 0, `word ${n}`] as const));
    await applyAll(model(), events);
    const many = Array.from({ length: 300 }, (_, n) => ({ channelId: channelOf(5, n), visibleAfter: 1 }));
    const request = requestOf('word', {
      channels: [...many, { channelId: channelOf(0, 1), visibleAfter: 27 }],
    });
    expect(textsOf(await findAll(model(), request))).toEqual(['word 29', 'word 28', 'word 27']);
  });
};

const describeWork = (harness: () => SearchHarness): void => {
  it('stops when its time is over, and goes on from there', async () => {
    const model = harness().open({ ...smallTuning, windowsMaxCount: 2 });
    const events = historyOf([
      [0, 0, 'needle'],
      ...Array.from({ length: 60 }, (_, n) => [0, 0, `hay ${n}`] as const),
    ]);
    await applyAll(model, events);
    const first = await model.find(requestOf('needle'));
    expect(first).toMatchObject({ messages: [] });
    expect(first?.nextBelow).toBeGreaterThan(1);
    expect(textsOf(await findAll(model, requestOf('needle')))).toEqual(['needle']);
  });

  it('takes texts as long and as manifold as they come', async () => {
    const model = harness().open(smallTuning);
    const long = Array.from({ length: 10_000 }, (_, n) =>
      String.fromCodePoint(0x4e00 + ((n * 7919) % 20_000)),
    ).join('');
    const events = historyOf([
      [0, 0, long],
      ...Array.from({ length: 14 }, () => [0, 1, long] as const),
      [0, 0, 'end'],
    ]);
    await applyAll(model, events);
    expect(await findAll(model, requestOf(long.slice(9_000, 9_009)))).toHaveLength(15);
    expect(await findAll(model, requestOf(long.slice(20, 40), { actor: ann }))).toHaveLength(1);
  }, 60_000);
};
