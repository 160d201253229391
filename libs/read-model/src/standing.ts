/** Whether a batch goes on where the checkpoint stands, alike for every view and store. */

import type { ApplyResult, Checkpoint, EventBatch } from './port.ts';

/** The answer to a batch of which nothing is to be written; undefined: it is to be applied from the checkpoint on. */
export const nothingToApply = (held: Checkpoint, batch: EventBatch): ApplyResult | undefined => {
  if (held.epoch !== batch.epoch) return { kind: 'epoch_differs', checkpoint: held };
  if (held.seq < batch.afterSeq) return { kind: 'gap', seq: held.seq };
  if (held.seq >= batch.upTo) return { kind: 'applied', checkpoint: held };
  return undefined;
};
