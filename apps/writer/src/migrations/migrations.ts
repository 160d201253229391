/** The write side's migrations by name, in order. A name, once released, never changes. */

import type { Migration } from 'kysely/migration';
import * as writeSide from './0001-write-side.ts';

export const migrations: Record<string, Migration> = {
  '0001-write-side': { up: writeSide.up },
};
