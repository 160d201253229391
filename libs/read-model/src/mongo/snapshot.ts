/**
 * One question, one snapshot: all finds of a question see the store as of the same moment (a snapshot session), so
 * that the checkpoint (`asOf`), the right to read and the rows belong together (I3). Its reads go one after another.
 */

import type { ReadStamp } from '@chat/contracts/http';
import type { TeamId, UserId } from '@chat/contracts/ids';
import { partitionOf } from '@chat/contracts/ids';
import type { Role } from '@chat/contracts/commands';
import type { ClientSession, Collection, Document, Filter, Sort } from 'mongodb';
import type { Collections, Store } from './collections.ts';
import { memberKey } from './keys.ts';

/** Keys of one `$in` or `$or`. */
const KEYS_MAX_COUNT = 500;

export type Reader = {
  readonly collections: Collections;
  one<D extends Document>(collection: Collection<D>, filter: Filter<D>): Promise<D | undefined>;
  /** `limitCount` 0: all. */
  list<D extends Document>(
    collection: Collection<D>,
    filter: Filter<D>,
    sort?: Sort,
    limitCount?: number,
  ): Promise<D[]>;
  aggregate<C extends Document, D extends Document>(
    collection: Collection<C>,
    pipeline: Document[],
  ): Promise<D[]>;
};

export const inSnapshot = <T>(store: Store, ask: (reader: Reader) => Promise<T>): Promise<T> =>
  store.client.withSession({ snapshot: true }, (session) => ask(readerOf(session, store)));

const readerOf = (session: ClientSession, { collections, timeoutMs }: Store): Reader => {
  // A new object each time: the driver writes the time of the snapshot into it.
  const options = () => ({ session, maxTimeMS: timeoutMs, readConcern: { level: 'snapshot' as const } });
  const list: Reader['list'] = async <D extends Document>(
    collection: Collection<D>,
    filter: Filter<D>,
    sort: Sort = [],
    limitCount = 0,
  ) => {
    const batchSize = limitCount === 0 ? 1_000 : limitCount;
    const find = { ...options(), sort, limit: limitCount, batchSize };
    return (await collection.find(filter, find).toArray()) as unknown as D[];
  };
  return {
    collections,
    list,
    one: async (collection, filter) => (await list(collection, filter, [], 1))[0],
    aggregate: <C extends Document, D extends Document>(collection: Collection<C>, pipeline: Document[]) =>
      collection.aggregate<D>(pipeline, options()).toArray(),
  };
};

export const inChunks = async <K, R>(
  keys: readonly K[],
  ask: (chunk: readonly K[]) => Promise<readonly R[]>,
): Promise<R[]> => {
  const found: R[] = [];
  for (let at = 0; at < keys.length; at += KEYS_MAX_COUNT) {
    found.push(...(await ask(keys.slice(at, at + KEYS_MAX_COUNT))));
  }
  return found;
};

/** The state of the team's partition; undefined while nothing of it is applied. */
export const stampOf = async (
  { one, collections }: Reader,
  teamId: TeamId,
): Promise<ReadStamp | undefined> => {
  const checkpoint = await one(collections.checkpoint, { _id: partitionOf(teamId) });
  return checkpoint && { epoch: checkpoint.epoch, asOf: checkpoint.seq };
};

export const teamRoleOf = async (
  { one, collections }: Reader,
  teamId: TeamId,
  userId: UserId,
): Promise<Role | undefined> => {
  const member = await one(collections.teamMember, { _id: memberKey({ teamId, userId }) });
  return member && !member.removed ? member.role : undefined;
};
