/** Bulk upserts guarded by `seq`: one statement a table, its columns as arrays. */

import type pg from 'pg';
import { plainArray, textArray, tokenArray } from './array-literal.ts';

export type Client = Pick<pg.ClientBase, 'query'>;

export type Column<R> =
  | readonly [
      name: string,
      type: 'bigint' | 'smallint' | 'boolean' | 'uuid',
      of: (row: R) => number | boolean | string,
    ]
  /** `token`: a text of our ids' alphabet. */
  | readonly [name: string, type: 'token', of: (row: R) => string]
  | readonly [name: string, type: 'text', of: (row: R) => string | undefined];

const sqlType = (type: Column<never>[1]): string => (type === 'token' ? 'text' : type);

const columnArray = <R>([, type, of]: Column<R>, rows: readonly R[]): string => {
  const values = rows.map(of);
  if (type === 'text') return textArray(values as (string | undefined)[]);
  return type === 'token' ? tokenArray(values as string[]) : plainArray(values as (number | string)[]);
};

/** An upsert of many rows whose every column is given, guarded by `seq`. Rows of one call have distinct keys. */
export const upsert = async <R extends { readonly seq: number }>(
  client: Client,
  table: string,
  key: readonly string[],
  columns: readonly Column<R>[],
  rows: readonly R[],
): Promise<void> => {
  if (rows.length === 0) return;
  const names = columns.map(([name]) => name);
  const values = names.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  await client.query({
    name: `upsert-${table}`,
    text: `INSERT INTO ${table} AS t (${names.join(', ')})
           SELECT * FROM unnest(${columns.map(([, type], index) => `$${index + 1}::${sqlType(type)}[]`).join(', ')})
           ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${values.join(', ')} WHERE t.seq < excluded.seq`,
    values: columns.map((column) => columnArray(column, rows)),
  });
};
