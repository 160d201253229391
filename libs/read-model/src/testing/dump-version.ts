/** Every row of one version, to compare two of them row by row; without what tells when and how often it was written. */

import { MongoClient } from 'mongodb';
import type pg from 'pg';

export type Dump = Readonly<Record<string, readonly unknown[]>>;

const ofTheWriting = new Set(['at', 'turn']);
const withoutWriting = (row: object): object =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !ofTheWriting.has(name)));
const sorted = (rows: readonly object[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

export const dumpSchema = async (pool: pg.Pool, schema: string): Promise<Dump> => {
  const { rows: tables } = await pool.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = $1 AND table_name NOT LIKE '%migration%' ORDER BY 1`,
    [schema],
  );
  const dump: Record<string, readonly unknown[]> = {};
  for (const { name } of tables) {
    const { rows } = await pool.query<object>(`SELECT * FROM ${schema}.${name}`);
    dump[name] = sorted(name === 'checkpoint' ? rows.map(withoutWriting) : rows);
  }
  return dump;
};

export const dumpDatabase = async (url: string, database: string): Promise<Dump> => {
  const client = await new MongoClient(url).connect();
  try {
    const db = client.db(database);
    const collections = await db.listCollections({}, { nameOnly: true }).toArray();
    const dump: Record<string, readonly unknown[]> = {};
    // `holder` names sessions of processes.
    for (const { name } of collections.filter(({ name: one }) => one !== 'holder')) {
      const rows = await db.collection(name).find().toArray();
      dump[name] = sorted(name === 'checkpoint' ? rows.map(withoutWriting) : rows);
    }
    return dump;
  } finally {
    await client.close();
  }
};
