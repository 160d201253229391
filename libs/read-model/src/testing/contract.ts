/** The suite every adapter of the read model passes, with the differential test against the plain model. */

import type { ChannelId, TeamId, UserId } from '@chat/contracts/ids';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EventBatch, ListRequest, ReadEvent, ReadModel, Refusal } from '../port.ts';
import { LogFault } from '../port.ts';
import {
  arbitraryHistory,
  channelOf,
  channelsPerTeam,
  historyPartition as partition,
  teams,
  users,
} from './arbitrary-history.ts';
import { HistoryBuilder, uuidOf } from './history-builder.ts';
import { createReferenceModel } from './reference-model.ts';
import { sampleHistory } from './samples.ts';

export type ReadModelHarness = {
  readonly model: ReadModel;
  /** Removes every row. */
  clear(): Promise<void>;
  close(): Promise<void>;
};

export const epoch = 'epoch-1';
export const digestOf = (seq: number): string => `digest-${seq}`;

export const batchOf = (events: readonly ReadEvent[], afterSeq: number, upTo: number): EventBatch => ({
  partition,
  epoch,
  afterSeq,
  upTo,
  events: events.slice(afterSeq, upTo),
  digest: digestOf(upTo),
});

/** Applies the history in batches of the given sizes (repeated as needed). */
export const applyAll = async (
  model: Pick<ReadModel, 'applyBatch'>,
  events: readonly ReadEvent[],
  sizes: readonly number[] = [events.length],
): Promise<void> => {
  for (let at = 0, turn = 0; at < events.length; turn += 1) {
    const upTo = Math.min(events.length, at + (sizes[turn % sizes.length] ?? 1));
    expect(await model.applyBatch(batchOf(events, at, upTo))).toMatchObject({ kind: 'applied' });
    at = upTo;
  }
};

type Askable = {
  [K in 'channels' | 'messages' | 'members' | 'membership' | 'teamsOf' | 'visibleChannels']: (
    ...args: Parameters<ReadModel[K]>
  ) => unknown;
};

/** More than any list here holds. */
export const whole = { limitCount: 100 } as const;

/** Everything that can be asked, with what was asked as key. */
export const askAll = async (model: Askable): Promise<Record<string, unknown>> => {
  const answers: Record<string, unknown> = {};
  for (const user of users) {
    for (const page of [whole, { limitCount: 1 }, { limitCount: 1, after: teams[0]! }])
      answers[`teams ${JSON.stringify(page)} ${user}`] = await model.teamsOf(user, page);
    for (const [index, team] of teams.entries()) {
      answers[`membership ${team} ${user}`] = await model.membership(team, user);
      answers[`visible ${team} ${user}`] = await model.visibleChannels(team, user);
      for (const page of [whole, { limitCount: 2 }, { limitCount: 2, after: channelOf(index, 1) }])
        answers[`channels ${JSON.stringify(page)} ${team} ${user}`] = await model.channels(team, user, page);
      for (let n = 0; n < channelsPerTeam; n += 1) {
        const channel = channelOf(index, n);
        for (const page of [whole, { limitCount: 1 }, { limitCount: 2, after: users[1]! }])
          answers[`members ${JSON.stringify(page)} ${channel} ${user}`] = await model.members(
            team,
            channel,
            user,
            page,
          );
        for (const page of [{}, { before: 4 }, { after: 2 }, { around: 3 }]) {
          const request = { limitCount: 3, ...page };
          answers[`${JSON.stringify(page)} ${channel} ${user}`] = await model.messages(
            team,
            channel,
            user,
            request,
          );
        }
      }
    }
  }
  return answers;
};

const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });
const runs = { numRuns: 12 };

export const describeReadModel = (name: string, open: () => Promise<ReadModelHarness>): void => {
  describe(`the read model in ${name}`, () => {
    let harness: ReadModelHarness;
    beforeAll(async () => {
      harness = await open();
    });
    beforeEach(() => harness.clear());
    afterAll(() => harness.close());

    it('answers every question as the plain model does, whatever the batches', async () => {
      const property = fc.asyncProperty(arbitraryHistory, sizes, async (events, batchSizes) => {
        await harness.clear();
        await applyAll(harness.model, events, batchSizes);
        expect(await askAll(harness.model)).toEqual(await askAll(createReferenceModel(events, epoch)));
      });
      await fc.assert(property, runs);
    }, 120_000);

    it('projects every event version that was ever written', async () => {
      const events = sampleHistory();
      const [ann, first] = [users[0] as UserId, teams[0] as TeamId];
      const ask = async (model: Askable) => [
        await model.teamsOf(ann, { limitCount: 9 }),
        await model.membership(first, ann),
        await model.channels(first, ann, { limitCount: 9 }),
        await model.messages(first, channelOf(0, 0), ann, { limitCount: 9 }),
      ];
      for (const [at] of events.entries()) {
        expect(await harness.model.applyBatch(batchOf(events, at, at + 1))).toMatchObject({
          kind: 'applied',
        });
        expect(await ask(harness.model)).toEqual(
          await ask(createReferenceModel(events.slice(0, at + 1), epoch)),
        );
      }
    });

    it('is not changed by any batch or overlapping range that comes again', async () => {
      const range = fc.tuple(fc.nat(1000), fc.nat(1000));
      const property = fc.asyncProperty(
        arbitraryHistory,
        fc.array(range, { maxLength: 5 }),
        async (events, ranges) => {
          await harness.clear();
          await applyAll(harness.model, events, [7]);
          const before = await askAll(harness.model);
          for (const [a, b] of ranges) {
            const from = a % events.length;
            const upTo = from + 1 + (b % (events.length - from));
            const result = await harness.model.applyBatch(batchOf(events, from, upTo));
            expect(result).toMatchObject({ kind: 'applied', checkpoint: { seq: events.length } });
          }
          expect(await askAll(harness.model)).toEqual(before);
        },
      );
      await fc.assert(property, { numRuns: 5 });
    }, 120_000);

    it('ends the same when two apply overlapping batches at once', async () => {
      const property = fc.asyncProperty(arbitraryHistory, sizes, sizes, async (events, one, other) => {
        await harness.clear();
        await Promise.all([applyAll(harness.model, events, one), applyAll(harness.model, events, other)]);
        expect(await askAll(harness.model)).toEqual(await askAll(createReferenceModel(events, epoch)));
      });
      await fc.assert(property, { numRuns: 5 });
    }, 120_000);

    describeCheckpoint(() => harness.model);
    describeVisibility(() => harness.model);
    describeContents(() => harness.model);
    describeLists(() => harness.model);
  });
};

const team = teams[0] as TeamId;
const [ann, ben, cid] = users as [UserId, UserId, UserId];
const open = channelOf(0, 0);
const secret = channelOf(0, 1);

const teamOfThree = (): HistoryBuilder => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.addTeamMember(team, ben, 'member');
  builder.addTeamMember(team, cid, 'member');
  builder.createChannel(team, open, 'public', 'open', [ann]);
  builder.createChannel(team, secret, 'private', 'secret', [ann]);
  return builder;
};

const describeCheckpoint = (model: () => ReadModel): void => {
  it('knows nothing of a partition before its first batch', async () => {
    expect(await model().checkpoint(partition)).toBeUndefined();
    expect(await model().membership(team, ann)).toBeUndefined();
    expect(await model().channels(team, ann, whole)).toEqual({ kind: 'team_not_found' });
  });

  it('refuses a batch that leaves a hole, and changes nothing', async () => {
    const { events } = teamOfThree();
    expect(await model().applyBatch(batchOf(events, 2, 5))).toEqual({ kind: 'gap', seq: 0 });
    expect(await model().checkpoint(partition)).toBeUndefined();
    await applyAll(model(), events.slice(0, 5));
    expect(await model().applyBatch(batchOf(events, 7, 9))).toEqual({ kind: 'gap', seq: 5 });
    expect(await model().checkpoint(partition)).toEqual({ epoch, seq: 5, digest: digestOf(5) });
  });

  it('refuses a batch of another epoch until that epoch is adopted at the same checkpoint', async () => {
    const { events } = teamOfThree();
    await model().applyBatch(batchOf(events, 0, 5));
    const checkpoint = { epoch, seq: 5, digest: digestOf(5) };
    const next = { ...batchOf(events, 5, 8), epoch: 'epoch-2' };
    expect(await model().applyBatch(next)).toEqual({ kind: 'epoch_differs', checkpoint });
    expect(await model().adoptEpoch(partition, { ...checkpoint, seq: 4 }, 'epoch-2')).toBe(false);
    expect(await model().adoptEpoch(partition, checkpoint, 'epoch-2')).toBe(true);
    expect(await model().applyBatch(next)).toMatchObject({ kind: 'applied', checkpoint: { seq: 8 } });
  });

  it('applies nothing of a batch that holds an event which cannot follow', async () => {
    const builder = teamOfThree();
    const soundCount = builder.events.length;
    builder.say(team, open, ann, 'one');
    builder.say(team, uuidOf(0xdead) as ChannelId, ann, 'nowhere');
    const batch = batchOf(builder.events, 0, builder.events.length);
    await expect(model().applyBatch(batch)).rejects.toThrow(LogFault);
    expect(await model().checkpoint(partition)).toBeUndefined();
    await applyAll(model(), builder.events.slice(0, soundCount));
    expect(await model().messages(team, open, ann, { limitCount: 9 })).toMatchObject({ messages: [] });
  });

  it('refuses a message that leaves a hole in its channel', async () => {
    const builder = teamOfThree();
    builder.say(team, open, ann, 'one');
    const last = builder.events.at(-1)!;
    builder.events[builder.events.length - 1] = {
      ...last,
      event: { ...last.event, channelSeq: 2 },
    } as ReadEvent;
    await expect(model().applyBatch(batchOf(builder.events, 0, builder.events.length))).rejects.toThrow(
      LogFault,
    );
  });
};

const texts = (page: unknown): string[] =>
  (page as { messages: { text: string }[] }).messages.map((message) => message.text);

const describeVisibility = (model: () => ReadModel): void => {
  it('shows a private channel from the join on, and nothing of the time between two stays', async () => {
    const builder = teamOfThree();
    builder.say(team, secret, ann, 'before');
    builder.join(team, secret, ben, 'member', 'private', 'secret');
    builder.say(team, secret, ann, 'first stay');
    builder.leave(team, secret, ben);
    builder.say(team, secret, ann, 'between');
    builder.join(team, secret, ben, 'member', 'private', 'secret');
    builder.say(team, secret, ann, 'second stay');
    await applyAll(model(), builder.events, [3]);
    const page = await model().messages(team, secret, ben, { limitCount: 9, after: 0 });
    expect(texts(page)).toEqual(['second stay']);
    expect(page).toMatchObject({ hasMoreBefore: false, hasMoreAfter: false });
    expect(texts(await model().messages(team, secret, ann, { limitCount: 9 }))).toHaveLength(4);
  });

  it('shows a public channel whole to one who joined late, and not at all to one who did not', async () => {
    const builder = teamOfThree();
    builder.say(team, open, ann, 'before');
    builder.join(team, open, ben, 'member', 'public', 'open');
    await applyAll(model(), builder.events);
    expect(texts(await model().messages(team, open, ben, { limitCount: 9 }))).toEqual(['before']);
    expect(await model().messages(team, open, cid, { limitCount: 9 })).toEqual({ kind: 'channel_not_found' });
    expect(await model().members(team, open, cid, whole)).toEqual({ kind: 'channel_not_found' });
    const list = await model().channels(team, cid, whole);
    expect(list).toMatchObject({ channels: [{ id: open, lastChannelSeq: 1, unreadCount: 0 }] });
    expect(JSON.stringify(list)).not.toContain('"role"');
  });

  it('shows nothing to one who was removed from the team, also after a return', async () => {
    const builder = teamOfThree();
    builder.join(team, secret, ben, 'member', 'private', 'secret');
    builder.say(team, secret, ann, 'text');
    builder.removeTeamMember(team, ben);
    await applyAll(model(), builder.events);
    expect(await model().messages(team, secret, ben, { limitCount: 9 })).toEqual({ kind: 'team_not_found' });
    expect(await model().channels(team, ben, whole)).toEqual({ kind: 'team_not_found' });
    expect(await model().teamsOf(ben, whole)).toEqual({ teams: [], hasMore: false });
    expect(await model().membership(team, ben)).toMatchObject({ channels: [] });
    const applied = builder.events.length;
    builder.addTeamMember(team, ben, 'member');
    await model().applyBatch(batchOf(builder.events, applied, builder.events.length));
    expect(await model().messages(team, secret, ben, { limitCount: 9 })).toEqual({
      kind: 'channel_not_found',
    });
  });
};

const describeContents = (model: () => ReadModel): void => {
  it('gives every text back as it came', async () => {
    const odd = [
      '日本語',
      '👩‍👩‍👧‍👦🏳️‍🌈',
      'e\u0301 ≠ é',
      '\u202Eabc',
      'a\r\nb\tc\\x "q" {1,2} NULL',
      '\u0001\u001f\u007f',
      '\uFEFF \uFFFF',
      "'; --",
    ];
    const builder = teamOfThree();
    for (const text of [...odd, 'x'.repeat(32 * 1024)]) builder.say(team, open, ann, text);
    await applyAll(model(), builder.events);
    const page = await model().messages(team, open, ann, { limitCount: 50 });
    expect(texts(page)).toEqual([...odd, 'x'.repeat(32 * 1024)]);
  });

  it('counts as unread what others wrote after the mark', async () => {
    const builder = teamOfThree();
    builder.join(team, open, ben, 'member', 'public', 'open');
    for (const actor of [ann, ben, ann, ben, ann]) builder.say(team, open, actor, 'text');
    builder.mark(team, open, ben, 2);
    await applyAll(model(), builder.events, [4]);
    const unreadOf = async (user: UserId) => {
      const list = await model().channels(team, user, whole);
      return list.kind === 'found' ? list.channels.find(({ id }) => id === open)?.unreadCount : undefined;
    };
    expect(await unreadOf(ben)).toBe(2);
    expect(await unreadOf(ann)).toBe(2);
  });

  it('names whose membership changed, page by page', async () => {
    const builder = teamOfThree();
    builder.join(team, secret, ben, 'member', 'private', 'secret');
    builder.join(team, open, ben, 'member', 'public', 'open');
    builder.join(team, secret, cid, 'member', 'private', 'secret');
    builder.removeTeamMember(team, ben);
    await applyAll(model(), builder.events);
    const all = await model().changedMembers(partition, 0, 100);
    expect(new Set(all.map(({ userId }) => userId))).toEqual(new Set([ann, ben, cid]));
    expect(all.map(({ seq }) => seq)).toEqual([...all.map(({ seq }) => seq)].sort((a, b) => a - b));
    const paged = [];
    for (let after = 0; ; after = paged.at(-1)!.seq) {
      const page = await model().changedMembers(partition, after, 2);
      paged.push(...page);
      if (page.length < 2) break;
    }
    expect(paged).toEqual(all);
    expect(await model().changedMembers(partition, builder.events.length, 9)).toEqual([]);
    expect(await model().changedMembers(partition + 1, 0, 9)).toEqual([]);
  });
};

const numbered = (prefix: string, from: number, to: number): UserId[] =>
  Array.from({ length: to - from }, (_, n) => `${prefix}${String(from + n).padStart(3, '0')}` as UserId);

/** All pages of a list, one after another; `between` runs before each page but the first. */
const walk = async <P extends { readonly hasMore: boolean }, K extends string>(
  limitCount: number,
  ask: (page: ListRequest<K>) => Promise<P | Refusal>,
  keysOf: (page: P) => readonly K[],
  between: () => Promise<void>,
): Promise<K[]> => {
  const keys: K[] = [];
  for (;;) {
    const after = keys.at(-1);
    const page = await ask({ limitCount, ...(after === undefined ? {} : { after }) });
    if (!('hasMore' in page)) throw new Error(`a page was refused: ${page.kind}`);
    expect(keysOf(page).length).toBeLessThanOrEqual(limitCount);
    keys.push(...keysOf(page));
    if (!page.hasMore) return keys;
    expect(keysOf(page)).toHaveLength(limitCount);
    await between();
  }
};

/** Ascending bytewise, each once, with all that was there from beginning to end, and nothing that never was. */
const expectStable = (keys: readonly string[], stayed: readonly string[], ever: readonly string[]): void => {
  expect(keys).toEqual([...new Set(keys)].sort());
  expect(keys).toEqual(expect.arrayContaining([...stayed]));
  expect(ever).toEqual(expect.arrayContaining([...keys]));
};

const describeLists = (model: () => ReadModel): void => {
  it('pages members bytewise, also while others come and go on both sides of where it stands', async () => {
    const builder = teamOfThree();
    const [staying, leaving, coming] = [numbered('s', 0, 30), numbered('l', 0, 20), numbered('T', 0, 20)];
    // Bytewise `T` < `_` < `l` < `s` < `tt`; a collation of words would mix them.
    const others = ['_x', 'tt', 'Z', '-1'] as UserId[];
    for (const user of [...staying, ...leaving, ...others]) {
      builder.addTeamMember(team, user, 'member');
      builder.join(team, open, user, 'member', 'public', 'open');
    }
    for (const user of coming) builder.addTeamMember(team, user, 'member');
    await applyAll(model(), builder.events);
    let turn = 0;
    const between = async (): Promise<void> => {
      const applied = builder.events.length;
      for (const user of leaving.slice(turn * 2, turn * 2 + 2)) builder.leave(team, open, user);
      for (const user of coming.slice(turn * 2, turn * 2 + 2))
        builder.join(team, open, user, 'member', 'public', 'open');
      turn += 1;
      if (builder.events.length === applied) return;
      const batch = batchOf(builder.events, applied, builder.events.length);
      expect(await model().applyBatch(batch)).toMatchObject({ kind: 'applied' });
    };
    const keys = await walk(
      7,
      (page: ListRequest<UserId>) => model().members(team, open, ann, page),
      ({ members }) => members.map(({ userId }) => userId),
      between,
    );
    expect(turn).toBeGreaterThan(4);
    const stayed = [...staying, ...others, ann];
    expectStable(keys, stayed, [...stayed, ...leaving, ...coming]);
    // Without anything between: exactly those who are in it.
    const still = await walk(
      5,
      (page: ListRequest<UserId>) => model().members(team, open, ann, page),
      ({ members }) => members.map(({ userId }) => userId),
      async () => {},
    );
    expect(still).toEqual([...stayed, ...leaving.slice(turn * 2), ...coming.slice(0, turn * 2)].sort());
  });

  it('pages channels of every kind by id, also while some are made, joined and left', async () => {
    const builder = teamOfThree();
    const made = Array.from({ length: 30 }, (_, n) => uuidOf(0xb000 + n * 2) as ChannelId);
    const kindOf = (n: number) => (['public', 'private', 'direct'] as const)[n % 3]!;
    for (const [n, id] of made.entries()) {
      const kind = kindOf(n);
      const name = kind === 'direct' ? undefined : `channel ${n}`;
      builder.createChannel(team, id, kind, name, n % 6 < 3 ? [ben, cid] : [ben]);
    }
    await applyAll(model(), builder.events);
    const late: ChannelId[] = [];
    let left = 0;
    const between = async (): Promise<void> => {
      const applied = builder.events.length;
      const id = uuidOf(0xb001 + late.length * 10) as ChannelId;
      builder.createChannel(team, id, 'public', `late ${id}`, [ann]);
      late.push(id);
      // cid's private channels are 1, 7, 13, …
      const gone = made[1 + 6 * left];
      if (gone) builder.leave(team, gone, cid);
      left += 1;
      const batch = batchOf(builder.events, applied, builder.events.length);
      expect(await model().applyBatch(batch)).toMatchObject({ kind: 'applied' });
    };
    const seen = made.filter((_, n) => kindOf(n) === 'public' || n % 6 < 3);
    const keys = await walk(
      4,
      (page: ListRequest<ChannelId>) => model().channels(team, cid, page),
      ({ channels }) => channels.map(({ id }) => id),
      between,
    );
    expect(late.length).toBeGreaterThan(3);
    const leaving = made.filter((_, n) => n % 6 === 1);
    const stayed = seen.filter((id) => !leaving.includes(id));
    expectStable(keys, [open, ...stayed], [open, ...seen, ...late]);
  });
};
