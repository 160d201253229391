/** The catalogue in MongoDB: one document a view, in a database of its own beside the versions. */

import type { MongoClient } from 'mongodb';
import { databaseOf } from '../mongo/collections.ts';
import { storeFaultOf } from '../mongo/store-fault.ts';
import { type CatalogStore, type ViewEntry, type ViewName, type ViewVersion, catalogOf } from './catalog.ts';

const NAMESPACE_EXISTS = 48;
const DUPLICATE_KEY = 11_000;
export const CATALOG_DATABASE = 'chat_views';

type ViewDoc = {
  readonly _id: ViewName;
  readonly revision: number;
  readonly lastVersion: number;
  readonly versions: readonly ViewVersion[];
};
type ReadDoc = ViewDoc & { readonly now: Date };

export type MongoCatalogDeps = {
  readonly client: MongoClient;
  /** Awaited before every question. */
  readonly connected: () => Promise<unknown>;
  readonly timeoutMs: number;
  readonly database?: string;
};

const isCode = (error: unknown, code: number): boolean => (error as { code?: unknown }).code === code;

export const createMongoCatalog = (deps: MongoCatalogDeps): CatalogStore => {
  const { client, connected, timeoutMs, database = CATALOG_DATABASE } = deps;
  const db = databaseOf(client, database);
  const views = db.collection<ViewDoc>('view');
  const asked = async <T>(fn: () => Promise<T>): Promise<T> => {
    try {
      await connected();
      return await fn();
    } catch (error) {
      throw storeFaultOf(error);
    }
  };
  return {
    prepare: () =>
      asked(async () => {
        await db.createCollection('view').catch((error: unknown) => {
          if (!isCode(error, NAMESPACE_EXISTS)) throw error;
        });
      }),
    read: () =>
      asked(async () => {
        const rows = await views
          .aggregate<ReadDoc>([{ $set: { now: '$$NOW' } }], { maxTimeMS: timeoutMs })
          .toArray();
        const found = rows.map(({ _id: view, revision, lastVersion, versions }): ViewEntry => ({
          view,
          revision,
          lastVersion,
          versions,
        }));
        const { localTime } = rows.length > 0 ? {} : await client.db('admin').command({ hello: 1 });
        return catalogOf(((rows[0]?.now ?? localTime) as Date).getTime(), found);
      }),
    swap: ({ view, revision, lastVersion, versions }) =>
      asked(async () => {
        const set = { revision, lastVersion, versions };
        if (revision > 1) {
          const { matchedCount } = await views.updateOne(
            { _id: view, revision: revision - 1 },
            { $set: set },
          );
          return matchedCount === 1;
        }
        try {
          await views.insertOne({ _id: view, ...set });
          return true;
        } catch (error) {
          if (isCode(error, DUPLICATE_KEY)) return false;
          throw error;
        }
      }),
  };
};
