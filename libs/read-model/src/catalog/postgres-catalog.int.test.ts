import { createLogger } from '@chat/platform/log';
import { type TestDatabase, newDatabase } from '@chat/testkit/servers/servers';
import { afterEach, beforeEach } from 'vitest';
import { type PostgresStore, openPostgresStore } from '../postgres/store.ts';
import { itKeepsACatalog } from '../testing/catalog-contract.ts';
import { itFollowsTheLiveVersion } from '../testing/follow-contract.ts';

const log = createLogger({ app: 'test', instance: 'catalog', level: 'silent' });
let database: TestDatabase;
let store: PostgresStore;

beforeEach(async () => {
  database = await newDatabase();
  store = openPostgresStore({ url: database.url, maxCount: 4, name: 'test', timeoutMs: 10_000, log });
});
afterEach(async () => {
  await store.close();
  await database.drop();
});

itKeepsACatalog('PostgreSQL', () => store);
itFollowsTheLiveVersion('PostgreSQL', () => ({ kind: 'postgres', url: database.url }));
