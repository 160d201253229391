/** The write side's migrations by name, in order. A name, once released, never changes. */

import type { Migration } from 'kysely/migration';
import * as writeSide from './0001-write-side.ts';
import * as fenceAlwaysNamed from './0002-fence-always-named.ts';
import * as poisonMark from './0003-poison-mark.ts';

export const migrations: Record<string, Migration> = {
  '0001-write-side': { up: writeSide.up },
  '0002-fence-always-named': { up: fenceAlwaysNamed.up },
  '0003-poison-mark': { up: poisonMark.up },
};
