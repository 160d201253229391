/**
 * Applying a batch: one transaction (snapshot read, majority and journal on commit), which begins by raising the
 * `turn` of the checkpoint. Two that do so at once conflict, and the server lets only one go on; the driver
 * repeats the other from its start, which then finds the checkpoint moved and drops what is applied already.
 *
 * Crash points: before the commit nothing is there; after it everything is, checkpoint included. A lost answer to
 * the commit is asked for again by the driver, and past its deadline by the projector, with the whole batch.
 */

import type { ClientSession } from 'mongodb';
import { type ChannelHead, type ChannelKey, foldBatch, headsNeeded } from '../fold.ts';
import type { ApplyResult, Checkpoint, EventBatch, ReadEvent } from '../port.ts';
import { nothingToApply } from '../standing.ts';
import type { Collections, Store } from './collections.ts';
import { channelKey } from './keys.ts';
import { type MessageWrites, writeChanges } from './write-changes.ts';

/**
 * Messages beyond the checkpoint are not in the store (they come and go with it), so they are inserted, which costs the
 * server a fraction of an upsert with a guard. Should one stand there all the same (a store that was put together from
 * backups of different times), the transaction ends, and the batch is applied with the guards.
 */
export const applyBatch = async (store: Store, batch: EventBatch): Promise<ApplyResult> => {
  try {
    return await applyWith(store, batch, 'insert');
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    return applyWith(store, batch, 'upsert');
  }
};

const DUPLICATE_KEY = 11_000;
/** Exported for search, which inserts in the same way. */
export const isDuplicateKey = (error: unknown): boolean =>
  (error as { code?: unknown }).code === DUPLICATE_KEY;

const applyWith = (
  { collections, transactions }: Store,
  batch: EventBatch,
  how: MessageWrites,
): Promise<ApplyResult> =>
  transactions.run(batch.partition, async (session): Promise<ApplyResult> => {
    const held = await takeCheckpoint(session, collections, batch);
    const answer = nothingToApply(held, batch);
    if (answer) {
      await session.abortTransaction();
      return answer;
    }
    const fresh =
      held.seq === batch.afterSeq ? batch.events : batch.events.filter(({ event }) => event.seq > held.seq);
    await writeEvents(session, collections, batch.partition, fresh, how);
    const checkpoint: Checkpoint = { epoch: batch.epoch, seq: batch.upTo, digest: batch.digest };
    await collections.checkpoint.updateOne(
      { _id: batch.partition },
      { $set: { seq: checkpoint.seq, digest: checkpoint.digest } },
      { session },
    );
    return { kind: 'applied', checkpoint };
  });

/** Writes the rows of events that follow the checkpoint; the caller has it taken. Exported for the tests of the guards. */
export const writeEvents = async (
  session: ClientSession,
  collections: Collections,
  partition: number,
  events: readonly ReadEvent[],
  how: MessageWrites = 'upsert',
): Promise<void> => {
  const heads = await loadHeads(session, collections, headsNeeded(events));
  await writeChanges(session, collections, partition, foldBatch(events, heads), how);
};

/** The first batch of a partition makes the row; aborted with the rest when it is refused, so that none says seq 0. */
export const takeCheckpoint = async (
  session: ClientSession,
  { checkpoint }: Pick<Collections, 'checkpoint'>,
  { partition, epoch }: EventBatch,
): Promise<Checkpoint> => {
  const held = await checkpoint.findOneAndUpdate(
    { _id: partition },
    { $inc: { turn: 1 }, $setOnInsert: { epoch, seq: 0, digest: '' } },
    { session, upsert: true, returnDocument: 'after' },
  );
  if (!held) throw new Error(`the checkpoint of partition ${partition} vanished`);
  return { epoch: held.epoch, seq: held.seq, digest: held.digest };
};

const loadHeads = async (
  session: ClientSession,
  { channel }: Collections,
  keys: readonly ChannelKey[],
): Promise<readonly ChannelHead[]> => {
  if (keys.length === 0) return [];
  const byKey = new Map(keys.map((key) => [channelKey(key), key]));
  const rows = await channel
    .find({ _id: { $in: [...byKey.keys()] } }, { session, projection: { head: 1 } })
    .toArray();
  return rows.flatMap(({ _id, head }) => {
    const key = byKey.get(_id);
    return key ? [{ ...key, ...(head ?? { lastChannelSeq: 0, countedSeq: 0, seq: 0 }) }] : [];
  });
};
