/** The read model's migrations by name, in order. A name, once released, never changes. */

import type { Migration } from 'kysely/migration';
import * as readModel from './migrations/0001-read-model.ts';
import * as listPages from './migrations/0002-list-pages.ts';
import * as checkpointTurn from './migrations/0003-checkpoint-turn.ts';
import { READ_SCHEMA, checkedSchema } from './schema.ts';

/** For `migrate` of @chat/platform, which is to be given the same schema for its own tables. */
export const readModelMigrations = (schema: string = READ_SCHEMA): Record<string, Migration> => {
  checkedSchema(schema);
  return {
    '0001-read-model': { up: (db) => readModel.up(db, schema) },
    '0002-list-pages': { up: (db) => listPages.up(db, schema) },
    '0003-checkpoint-turn': { up: (db) => checkpointTurn.up(db, schema) },
  };
};
