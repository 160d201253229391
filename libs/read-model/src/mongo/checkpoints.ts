/** The checkpoints of a view, and how every question to its store is asked: connected first, with trouble as a fault of the store. */

import type { Collection, MongoClient } from 'mongodb';
import type { ProjectionTarget } from '../port.ts';
import { connector } from './client.ts';
import type { CheckpointDoc } from './collections.ts';
import { storeFaultOf } from './store-fault.ts';

export type Checkpoints = Pick<ProjectionTarget, 'checkpoint' | 'adoptEpoch'> & {
  guarded<T>(fn: () => Promise<T>): Promise<T>;
};

export const createCheckpoints = (
  client: MongoClient,
  checkpoint: Collection<CheckpointDoc>,
  timeoutMs: number,
): Checkpoints => {
  const connected = connector(client);
  const guarded = async <T>(fn: () => Promise<T>): Promise<T> => {
    try {
      await connected();
      return await fn();
    } catch (error) {
      throw storeFaultOf(error);
    }
  };
  return {
    guarded,
    checkpoint: (partition) =>
      guarded(async () => {
        const row = await checkpoint.findOne({ _id: partition }, { maxTimeMS: timeoutMs });
        return row ? { epoch: row.epoch, seq: row.seq, digest: row.digest } : undefined;
      }),
    adoptEpoch: (partition, from, epoch) =>
      guarded(async () => {
        const filter = { _id: partition, epoch: from.epoch, seq: from.seq };
        const { matchedCount } = await checkpoint.updateOne(filter, { $set: { epoch }, $inc: { turn: 1 } });
        return matchedCount === 1;
      }),
  };
};
