import { createLogger } from '@chat/platform/log';
import { migrate } from '@chat/platform/postgres/migrate';
import { createPool } from '@chat/platform/postgres/pool';
import { readModelMigrations } from '@chat/read-model/postgres/migrations';
import { createPostgresReadModel } from '@chat/read-model/postgres/postgres-read-model';
import type { ReadModel } from '@chat/read-model/port';
import type { SearchModel } from '@chat/read-model/search/port';
import { createPostgresSearchModel } from '@chat/read-model/search/postgres/postgres-search';
import { searchMigrations } from '@chat/read-model/search/postgres/search-schema';
import { channelOf, teams, users } from '@chat/read-model/testing/arbitrary-history';
import { batchOf } from '@chat/read-model/testing/contract';
import { HistoryBuilder } from '@chat/read-model/testing/history-builder';
import { newDatabase } from '@chat/testkit/servers/servers';
import type { TeamId, UserId } from '@chat/contracts/ids';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { searchMessages } from './search-messages.ts';
import { type Search, parseSearch } from './search-request.ts';

/** The two views stand apart here: each is applied as far as a test says. */
const log = createLogger({ app: 'test', instance: 'api', level: 'silent' });
const [coreSchema, searchSchema] = ['core', 'search'];
const team = teams[0] as TeamId;
const [ann, ben] = users as [UserId, UserId];
const secret = channelOf(0, 0);

let readModel: ReadModel;
let search: SearchModel;
let clear: () => Promise<unknown>;
let close: () => Promise<void>;

beforeAll(async () => {
  const { url, drop } = await newDatabase();
  await migrate({ url, migrations: readModelMigrations(coreSchema), schema: coreSchema, log });
  await migrate({ url, migrations: searchMigrations(searchSchema), schema: searchSchema, log });
  const pool = createPool({ url, max: 4, name: 'search-messages-test', statementTimeoutMs: 10_000, log });
  readModel = createPostgresReadModel({ pool, schema: coreSchema });
  search = createPostgresSearchModel({ pool, schema: searchSchema });
  const core = ['checkpoint', 'team', 'team_member', 'channel', 'channel_member', 'message'];
  const tables = [...core.map((table) => `${coreSchema}.${table}`)];
  clear = () =>
    pool.query(
      `TRUNCATE ${[...tables, ...['checkpoint', 'team', 'message'].map((table) => `${searchSchema}.${table}`)].join(', ')}`,
    );
  close = async () => {
    await pool.end();
    await drop();
  };
}, 60_000);
afterAll(() => close());

const asked = (q: string): Search => {
  const found = parseSearch(team, { q });
  if ('code' in found) throw new Error(found.code);
  return found;
};

/** What `user` finds with the core and search each as far as given. */
const findAt = async (builder: HistoryBuilder, user: UserId, coreSeq: number, searchSeq: number) => {
  await clear();
  const { events } = builder;
  if (coreSeq > 0) await readModel.applyBatch(batchOf(events, 0, coreSeq));
  if (searchSeq > 0) await search.applyBatch(batchOf(events, 0, searchSeq));
  const found = await searchMessages({ readModel, search }, user, asked('word'));
  return found.kind === 'found'
    ? { asOf: found.asOf, texts: found.hits.map(({ message }) => message.text) }
    : found.kind;
};

const history = () => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.addTeamMember(team, ben, 'member');
  builder.createChannel(team, secret, 'private', 'secret', [ann]);
  builder.say(team, secret, ann, 'word before');
  builder.join(team, secret, ben, 'member', 'private', 'secret');
  builder.say(team, secret, ann, 'word of the first stay');
  const beforeRemoval = builder.events.length;
  builder.leave(team, secret, ben);
  const removed = builder.events.length;
  builder.say(team, secret, ann, 'word after');
  const after = builder.events.length;
  builder.join(team, secret, ben, 'member', 'private', 'secret');
  const rejoined = builder.events.length;
  builder.say(team, secret, ann, 'word of the second stay');
  return { builder, beforeRemoval, removed, after, rejoined, all: builder.events.length };
};

it('a removal that the core has not applied yet hides what came after it, however far search is ahead', async () => {
  const { builder, beforeRemoval, removed, after, all } = history();
  const firstStay = ['word of the first stay'];
  expect(await findAt(builder, ben, beforeRemoval, all)).toEqual({ asOf: beforeRemoval, texts: firstStay });
  // The removal's first event is the one that counts, and everything after it is beyond this point.
  expect(await findAt(builder, ben, beforeRemoval + 1, all)).toEqual({ asOf: beforeRemoval + 1, texts: [] });
  expect(await findAt(builder, ben, removed, all)).toEqual({ asOf: removed, texts: [] });
  expect(await findAt(builder, ben, after, all)).toEqual({ asOf: after, texts: [] });
});

it('a search behind the core shows less, never what the core has hidden since', async () => {
  const { builder, beforeRemoval, removed, rejoined, all } = history();
  expect(await findAt(builder, ben, removed, beforeRemoval)).toEqual({ asOf: beforeRemoval, texts: [] });
  expect(await findAt(builder, ben, rejoined, beforeRemoval)).toEqual({ asOf: beforeRemoval, texts: [] });
  expect(await findAt(builder, ben, all, rejoined)).toEqual({ asOf: rejoined, texts: [] });
  expect(await findAt(builder, ben, all, all)).toEqual({ asOf: all, texts: ['word of the second stay'] });
  expect(await findAt(builder, ann, all, rejoined)).toEqual({
    asOf: rejoined,
    texts: ['word after', 'word of the first stay', 'word before'],
  });
});

it('a re-join that the core has not applied yet, and one that it has, show nothing of the time between', async () => {
  const { builder, after, rejoined, all } = history();
  expect(await findAt(builder, ben, after, all)).toMatchObject({ texts: [] });
  expect(await findAt(builder, ben, rejoined, all)).toMatchObject({ texts: [] });
});

it('a search that has nothing yet, or is of another epoch, is behind; a core that has nothing knows no team', async () => {
  const { builder, all } = history();
  expect(await findAt(builder, ann, all, 0)).toBe('search_behind');
  expect(await findAt(builder, ann, 0, all)).toBe('team_not_found');
  await clear();
  await readModel.applyBatch(batchOf(builder.events, 0, all));
  await search.applyBatch({ ...batchOf(builder.events, 0, all), epoch: 'epoch-2' });
  expect(await searchMessages({ readModel, search }, ann, asked('word'))).toEqual({ kind: 'search_behind' });
});
