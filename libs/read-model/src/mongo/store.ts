/** The read model in MongoDB with the connection it owns, for the processes that choose it. */

import type { ReadModel } from '../port.ts';
import { type MongoClientOptions, connector, createMongoClient } from './client.ts';
import { prepareMongoReadModel } from './collections.ts';
import { createMongoReadModel } from './mongo-read-model.ts';
import { storeFaultOf } from './store-fault.ts';

export type MongoStore = {
  readonly readModel: ReadModel;
  /** Collections and indexes; by the projector, before its first batch. UnavailableFault: try again. */
  prepare(): Promise<void>;
  close(): Promise<void>;
};

export const openMongoStore = (options: MongoClientOptions): MongoStore => {
  const client = createMongoClient(options);
  const connected = connector(client);
  return {
    readModel: createMongoReadModel({ client, timeoutMs: options.timeoutMs }),
    prepare: async () => {
      try {
        await connected();
        await prepareMongoReadModel(client);
      } catch (error) {
        throw storeFaultOf(error);
      }
    },
    close: () => client.close(),
  };
};
