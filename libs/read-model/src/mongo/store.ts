/** The read store in MongoDB with the connection it owns, for the processes that choose it. */

import { createMongoCatalog } from '../catalog/mongo-catalog.ts';
import { viewNames } from '../catalog/catalog.ts';
import { type VersionId, type ViewStore, versionNames } from '../catalog/view-store.ts';
import { createMongoDriftStore } from '../drift/mongo.ts';
import type { ReadModel } from '../port.ts';
import { createMongoSearchModel } from '../search/mongo/mongo-search.ts';
import { prepareMongoSearch } from '../search/mongo/search-collections.ts';
import { type MongoClientOptions, connector, createMongoClient } from './client.ts';
import { READ_DATABASE, prepareMongoReadModel } from './collections.ts';
import { createMongoReadModel } from './mongo-read-model.ts';
import { storeFaultOf } from './store-fault.ts';

export type MongoStore = ViewStore & {
  /** Version 1 of core, whatever the catalogue says. */
  readonly readModel: ReadModel;
  /** Its collections and indexes. UnavailableFault: try again. */
  prepare(): Promise<void>;
  close(): Promise<void>;
};

const { nameOf, parse } = versionNames(READ_DATABASE);

export const openMongoStore = (options: MongoClientOptions): MongoStore => {
  const { timeoutMs } = options;
  const client = createMongoClient(options);
  const connected = connector(client);
  const asked = async <T>(fn: () => Promise<T>): Promise<T> => {
    try {
      await connected();
      return await fn();
    } catch (error) {
      throw storeFaultOf(error);
    }
  };
  const openModel = (id: VersionId): ReadModel =>
    createMongoReadModel({ client, timeoutMs, database: nameOf(id) });
  const prepareVersion = (id: VersionId): Promise<void> =>
    asked(() =>
      id.view === 'search'
        ? prepareMongoSearch(client, nameOf(id))
        : prepareMongoReadModel(client, nameOf(id)),
    );
  const first: VersionId = { view: 'core', version: 1 };
  return {
    readModel: openModel(first),
    prepare: () => prepareVersion(first),
    views: viewNames,
    catalog: createMongoCatalog({ client, connected, timeoutMs }),
    open: (id) => {
      if (id.view === 'search') {
        const search = createMongoSearchModel({ client, timeoutMs, database: nameOf(id) });
        return { target: search, search };
      }
      const core = openModel(id);
      return { target: core, core };
    },
    openDrift: (id) => createMongoDriftStore({ client, timeoutMs, database: nameOf(id) }, asked),
    prepareVersion,
    // Plans are tried, not estimated.
    analyzeVersion: async () => {},
    dropVersion: (id) =>
      asked(async () => {
        await client.db(nameOf(id)).dropDatabase();
      }),
    listVersions: () =>
      asked(async () => {
        const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true });
        return databases.flatMap(({ name }) => parse(name) ?? []);
      }),
    close: () => client.close(),
  };
};
