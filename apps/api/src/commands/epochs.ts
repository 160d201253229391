/** The epoch of each partition, from the metadata of its event stream. It changes only by an operator's hand; kept briefly. */

import { evtStream } from '@chat/contracts/streams';
import { UnavailableFault } from '@chat/platform/faults';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { streamState } from '@chat/platform/nats/streams';

export type Epochs = {
  /** Throws UnavailableFault when it is not known and NATS cannot tell. */
  of(partition: number): Promise<string>;
};

const FRESH_MS = 2_000;

export const createEpochs = ({ jsm }: Pick<NatsHandle, 'jsm'>): Epochs => {
  const known = new Map<number, { readonly epoch: string; readonly readAtMs: number }>();
  const reading = new Map<number, Promise<string>>();

  const read = async (partition: number): Promise<string> => {
    const state = await streamState(jsm, evtStream(partition)).catch((cause: unknown) => {
      const stale = known.get(partition);
      if (stale) return stale;
      throw new UnavailableFault(`the epoch of partition ${partition} cannot be read`, { cause });
    });
    const epoch = 'exists' in state && !state.exists ? undefined : state.epoch;
    if (epoch === undefined) throw new UnavailableFault(`partition ${partition} has no event stream yet`);
    known.set(partition, { epoch, readAtMs: performance.now() });
    return epoch;
  };

  return {
    of: (partition) => {
      const found = known.get(partition);
      if (found && performance.now() - found.readAtMs < FRESH_MS) return Promise.resolve(found.epoch);
      let pending = reading.get(partition);
      if (!pending) {
        pending = read(partition).finally(() => reading.delete(partition));
        reading.set(partition, pending);
      }
      return pending;
    },
  };
};
