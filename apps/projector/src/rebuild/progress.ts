/** How far the versions of the views are: their checkpoints against the ends of the streams. */

import { evtStream } from '@chat/contracts/streams';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { streamState } from '@chat/platform/nats/streams';
import { classify } from '@chat/platform/postgres/sqlstate';
import type { VersionId, ViewStore } from '@chat/read-model/catalog/view-store';

export type PartitionProgress = {
  readonly partition: number;
  /** Last event of the stream; 0 where there is none. */
  readonly headSeq: number;
  /** Last event in the version. */
  readonly seq: number;
};

export type ProgressDeps = {
  readonly partitionCount: number;
  readonly nats: Pick<NatsHandle, 'jsm'>;
  readonly store: ViewStore;
};

/** Asked at once at most, of a store and of the streams. */
const CONCURRENCY = 8;

/** Heads first: what is found to be caught up was so at the time. Throws when a server does not answer. */
export const headsOf = async ({
  partitionCount,
  nats,
}: Pick<ProgressDeps, 'partitionCount' | 'nats'>): Promise<readonly number[]> =>
  eachPartition(partitionCount, async (partition) => {
    const found = await streamState(nats.jsm, evtStream(partition));
    return found.exists ? found.lastSeq : 0;
  });

/**
 * What a version must have, by partition, to take the place of `live`: all that the stream holds, and all that `live` has. The stream
 * alone is no witness: one that was lost ends at nothing until the writer has filled it again. Of another epoch `live` is none.
 */
export const endsOf = (
  { partitionCount, nats, store }: ProgressDeps,
  live: VersionId,
): Promise<readonly number[]> =>
  eachPartition(partitionCount, async (partition) => {
    const found = await streamState(nats.jsm, evtStream(partition));
    const checkpoint = await store.open(live).target.checkpoint(partition).catch(noneIfNotThere);
    const isOfEpoch = !found.exists || found.epoch === checkpoint?.epoch;
    return Math.max(found.exists ? found.lastSeq : 0, isOfEpoch ? (checkpoint?.seq ?? 0) : 0);
  });

export const progressOf = async (
  { partitionCount, store }: Pick<ProgressDeps, 'partitionCount' | 'store'>,
  id: VersionId,
  heads: readonly number[],
): Promise<readonly PartitionProgress[]> => {
  const { target } = store.open(id);
  return eachPartition(partitionCount, async (partition) => {
    const checkpoint = await target.checkpoint(partition).catch(noneIfNotThere);
    return { partition, headSeq: heads[partition] ?? 0, seq: checkpoint?.seq ?? 0 };
  });
};

/** A version that no projector has prepared yet, or that was dropped a moment ago, has no checkpoints. */
const noneIfNotThere = (error: unknown): undefined => {
  if (classify(error) === 'transient') throw error;
};

const eachPartition = async <T>(count: number, ask: (partition: number) => Promise<T>): Promise<T[]> => {
  const answers: T[] = [];
  for (let from = 0; from < count; from += CONCURRENCY) {
    const some = Array.from({ length: Math.min(CONCURRENCY, count - from) }, (_, at) => ask(from + at));
    answers.push(...(await Promise.all(some)));
  }
  return answers;
};

export type Totals = {
  readonly appliedCount: number;
  readonly headCount: number;
  /** Events of the partition that is farthest behind. */
  readonly lagMaxCount: number;
};

export const totalsOf = (partitions: readonly PartitionProgress[]): Totals => ({
  appliedCount: partitions.reduce((sum, { seq }) => sum + seq, 0),
  headCount: partitions.reduce((sum, { headSeq, seq }) => sum + Math.max(headSeq, seq), 0),
  lagMaxCount: Math.max(0, ...partitions.map(({ headSeq, seq }) => headSeq - seq)),
});
