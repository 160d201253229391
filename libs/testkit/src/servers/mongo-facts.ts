/** What a MongoDB that somebody gave is, for whoever must refuse one that will not do. */

import { MongoClient } from 'mongodb';

export type MongoFacts = {
  readonly version: string;
  /** A replica set or a sharded cluster: what transactions and snapshot reads need. */
  readonly hasTransactions: boolean;
};

/** Throws the driver's error when it does not answer, or not us. */
export const mongoFacts = async (url: string, answerTimeoutMs: number): Promise<MongoFacts> => {
  const client = new MongoClient(url, {
    serverSelectionTimeoutMS: answerTimeoutMs,
    connectTimeoutMS: answerTimeoutMs,
    socketTimeoutMS: answerTimeoutMs,
  });
  try {
    const admin = client.db('admin');
    const { version } = (await admin.command({ buildInfo: 1 })) as { version: string };
    const { setName, msg } = (await admin.command({ hello: 1 })) as { setName?: string; msg?: string };
    return { version, hasTransactions: setName !== undefined || msg === 'isdbgrid' };
  } finally {
    await client.close();
  }
};
