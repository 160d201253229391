/**
 * Transactions of a partition. A server keeps the open transaction of a client that died (kill -9) for up to a
 * minute (`transactionLifetimeLimitSeconds`), and every write to the same rows conflicts with it until then. So each
 * session is written down before its first transaction, and who meets conflicts for too long ends the sessions
 * written down for the partition. One that lives only begins its transaction again: nothing rests on not being ended.
 */

import { UnavailableFault } from '@chat/platform/faults';
import type { Binary, ClientSession, MongoClient } from 'mongodb';
import type { Collections } from './collections.ts';

/** Sessions written down per partition; the oldest give way (what they left open ends by the server's own limit). */
const SESSIONS_MAX_COUNT = 16;
/** Conflicts for longer than this are taken for those of a dead client. */
const ORPHAN_AFTER_MS = 1_000;

export type Transactions = {
  /** `fn` in a transaction, repeated on conflicts and lost connections; no new try after `timeoutMs`. */
  run<T>(partition: number, fn: (session: ClientSession) => Promise<T>): Promise<T>;
};

export const createTransactions = (
  client: MongoClient,
  { holder }: Pick<Collections, 'holder'>,
  timeoutMs: number,
): Transactions => {
  // At most as many as run at once in a partition; ended when the client is closed.
  const idle = new Map<number, ClientSession[]>();

  const idOf = (session: ClientSession): Binary => {
    if (!session.id) throw new Error('the session has no id');
    return session.id.id;
  };
  const take = async (partition: number): Promise<ClientSession> => {
    const known = idle.get(partition)?.pop();
    if (known) return known;
    const session = client.startSession();
    const sessions = { $each: [idOf(session)], $slice: -SESSIONS_MAX_COUNT };
    await holder.updateOne({ _id: partition }, { $push: { sessions } }, { upsert: true });
    return session;
  };
  const giveBack = (partition: number, session: ClientSession): void => {
    const sessions = idle.get(partition);
    if (sessions) sessions.push(session);
    else idle.set(partition, [session]);
  };
  const endOthers = async (partition: number, own: ClientSession): Promise<void> => {
    const row = await holder.findOne({ _id: partition }, { maxTimeMS: timeoutMs });
    const ownId = idOf(own).toString('hex');
    const others = (row?.sessions ?? []).filter((id) => id.toString('hex') !== ownId);
    if (others.length === 0) return;
    await client.db('admin').command({ killSessions: others.map((id) => ({ id })) });
  };

  return {
    run: async (partition, fn) => {
      const session = await take(partition);
      const startedMs = performance.now();
      let hasEndedOthers = false;
      const attempt = async (): ReturnType<typeof fn> => {
        const elapsedMs = performance.now() - startedMs;
        // The driver itself would go on for two minutes.
        if (elapsedMs > timeoutMs)
          throw new UnavailableFault('MongoDB: the transaction found no end in time');
        if (elapsedMs > ORPHAN_AFTER_MS && !hasEndedOthers) {
          hasEndedOthers = true;
          await endOthers(partition, session);
        }
        return fn(session);
      };
      try {
        return await session.withTransaction(attempt, {
          readConcern: { level: 'snapshot' },
          writeConcern: { w: 'majority', journal: true },
          readPreference: 'primary',
          maxCommitTimeMS: timeoutMs,
        });
      } finally {
        giveBack(partition, session);
      }
    },
  };
};
