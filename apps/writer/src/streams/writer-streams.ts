/**
 * The streams a writer keeps: what it asks of them, in its own words. Every answer comes from the stream's
 * leader, never from a replica that may lag.
 */

import { DiscardPolicy, type JetStreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import { evtStream } from '@chat/contracts/streams';
import {
  type StoredMessage,
  type StreamState,
  ensureCmdStream,
  ensureEvtStream,
  getMessage,
  streamState,
} from '@chat/platform/nats/streams';
import { deadLetterStream } from '../poison/poison.ts';

export type WriterStreams = {
  readonly state: (name: string) => Promise<StreamState>;
  readonly ensureCmd: (partition: number) => Promise<void>;
  /** `firstSeq` is the number that the first appended event will have. */
  readonly ensureEvt: (partition: number, epoch: string, firstSeq: number) => Promise<void>;
  readonly deleteEvt: (partition: number) => Promise<void>;
  readonly ensureDeadLetters: () => Promise<void>;
  /** Undefined when there is no message of that number (any more). */
  readonly message: (name: string, seq: number) => Promise<StoredMessage | undefined>;
  /** Removes everything below `seq`. */
  readonly purgeBelow: (name: string, seq: number) => Promise<void>;
};

export type StreamOptions = { readonly replicas: number; readonly cmdMaxBytes?: number };

/** Dead letters wait for a person; the oldest go first beyond this. */
export const DEAD_LETTER_MAX_BYTES = 256 * 1024 * 1024;

export const createWriterStreams = (jsm: JetStreamManager, options: StreamOptions): WriterStreams => {
  const { replicas, cmdMaxBytes } = options;
  return {
    state: (name) => streamState(jsm, name),
    ensureCmd: async (partition) => {
      await ensureCmdStream(jsm, partition, {
        replicas,
        ...(cmdMaxBytes === undefined ? {} : { maxBytes: cmdMaxBytes }),
      });
    },
    ensureEvt: async (partition, epoch, firstSeq) => {
      await ensureEvtStream(jsm, partition, { replicas, epoch, firstSeq });
    },
    deleteEvt: async (partition) => {
      await jsm.streams.delete(evtStream(partition));
    },
    ensureDeadLetters: async () => {
      if ((await streamState(jsm, deadLetterStream)).exists) return;
      await jsm.streams.add({
        name: deadLetterStream,
        subjects: ['dlq.cmd.*'],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        max_bytes: DEAD_LETTER_MAX_BYTES,
        num_replicas: replicas,
        allow_direct: true,
      });
    },
    message: (name, seq) => getMessage(jsm, name, { seq }),
    purgeBelow: async (name, seq) => {
      await jsm.streams.purge(name, { seq });
    },
  };
};
