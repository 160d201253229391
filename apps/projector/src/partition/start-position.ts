/**
 * Where a partition goes on, and whether it may. The checkpoint names the last applied event and its digest; the
 * log (stream or event_log) must hold that very event, else it is another history and the partition halts.
 */

import { evtStream } from '@chat/contracts/streams';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type ExistingStreamState, getMessage, streamState } from '@chat/platform/nats/streams';
import type { Checkpoint, ProjectionTarget } from '@chat/read-model/port';
import { payloadDigest } from './decode-event.ts';
import type { EventLog } from './event-log.ts';

export type StartPosition =
  | {
      readonly kind: 'go';
      readonly epoch: string;
      readonly nextSeq: number;
      /** lastInStream + 1 when the stream holds nothing. */
      readonly firstInStream: number;
      readonly lastInStream: number;
    }
  /** Nothing to follow yet; ask again later. */
  | { readonly kind: 'wait'; readonly why: 'stream_missing' | 'stream_behind' }
  | { readonly kind: 'halt'; readonly reason: string };

export type StartDeps = {
  readonly partition: number;
  readonly nats: Pick<NatsHandle, 'jsm'>;
  readonly target: ProjectionTarget;
  readonly eventLog: EventLog;
};

/** Throws when a server does not answer. */
export const findStart = async (deps: StartDeps): Promise<StartPosition> => {
  const { partition, nats, target } = deps;
  const checkpoint = await target.checkpoint(partition);
  const stream = await streamState(nats.jsm, evtStream(partition));
  if (!stream.exists) return { kind: 'wait', why: 'stream_missing' };
  const { epoch, firstSeq: firstInStream, lastSeq: lastInStream } = stream;
  if (epoch === undefined) return { kind: 'halt', reason: `${evtStream(partition)} names no epoch` };
  if (!checkpoint) return { kind: 'go', epoch, nextSeq: 1, firstInStream, lastInStream };
  if (checkpoint.epoch !== epoch) return changeEpoch(deps, checkpoint, epoch, stream);
  // The stream lost its tail, or was made anew and is being filled: the writer appends the same rows again.
  if (stream.lastSeq < checkpoint.seq) return { kind: 'wait', why: 'stream_behind' };
  const found = await digestAt(deps, checkpoint.seq, stream);
  if (found !== undefined && found !== checkpoint.digest) {
    const reason = `event ${checkpoint.seq} is not the one that was applied: the log holds another history`;
    return { kind: 'halt', reason };
  }
  return { kind: 'go', epoch, nextSeq: checkpoint.seq + 1, firstInStream, lastInStream };
};

/** Undefined when neither stream nor log have the event any longer. */
const digestAt = async (
  { partition, nats, eventLog }: StartDeps,
  seq: number,
  stream: ExistingStreamState,
): Promise<string | undefined> => {
  if (seq >= stream.firstSeq) {
    const message = await getMessage(nats.jsm, evtStream(partition), { seq });
    if (message) return payloadDigest(message.data);
  }
  const row = (await eventLog.read(partition, seq, seq, 1))[0];
  return row && payloadDigest(row.data);
};

/**
 * A new epoch says that history may have changed. It has not as far as we applied it if the write model goes by
 * the new epoch and still holds our last event at its number (the log is append-only: what precedes is equal too).
 */
const changeEpoch = async (
  { partition, target, eventLog }: StartDeps,
  checkpoint: Checkpoint,
  epoch: string,
  stream: ExistingStreamState,
): Promise<StartPosition> => {
  const row = (await eventLog.read(partition, checkpoint.seq, checkpoint.seq, 1))[0];
  const isSame = row !== undefined && payloadDigest(row.data) === checkpoint.digest;
  if (!isSame || (await eventLog.epoch(partition)) !== epoch) {
    const reason =
      `the stream is of epoch ${epoch}, the read model of ${checkpoint.epoch}, and event_log does not ` +
      `confirm event ${checkpoint.seq}: the read model must be rebuilt`;
    return { kind: 'halt', reason };
  }
  if (!(await target.adoptEpoch(partition, checkpoint, epoch))) return { kind: 'wait', why: 'stream_behind' };
  const { firstSeq: firstInStream, lastSeq: lastInStream } = stream;
  return { kind: 'go', epoch, nextSeq: checkpoint.seq + 1, firstInStream, lastInStream };
};
