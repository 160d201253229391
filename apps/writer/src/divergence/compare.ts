/**
 * PostgreSQL may come back older than EVT (failover without a synchronous standby, restore to a point in time),
 * and EVT may come back without its tail or not at all. Before the first commit on any new connection, and at
 * every takeover, the two are compared. Pure: the facts come in, the verdict goes out.
 */

import type { StreamState } from '@chat/platform/nats/streams';

export type Facts = {
  /** Last row of event_log: next_id − 1. */
  readonly committedSeq: number;
  readonly epoch: string;
  readonly stream: Extract<StreamState, { exists: true }>;
  /** Payloads under the greatest common number, undefined when not there. */
  readonly rowPayload: string | undefined;
  readonly streamPayload: string | undefined;
};

export type Verdict =
  | { readonly kind: 'equal' }
  /** The relay goes on from `streamSeq` + 1. */
  | { readonly kind: 'behind'; readonly streamSeq: number }
  /** Events committedSeq + 1 … streamSeq are to be adopted. */
  | { readonly kind: 'ahead'; readonly streamSeq: number }
  | { readonly kind: 'diverged'; readonly reason: string };

const diverged = (reason: string): Verdict => ({ kind: 'diverged', reason });

export const commonSeq = (committedSeq: number, streamLastSeq: number): number =>
  Math.min(committedSeq, streamLastSeq);

export const compare = ({ committedSeq, epoch, stream, rowPayload, streamPayload }: Facts): Verdict => {
  if (stream.epoch !== epoch) {
    return diverged(`the stream has epoch ${stream.epoch ?? '(none)'}, the database ${epoch}`);
  }
  const streamSeq = stream.lastSeq;
  const common = commonSeq(committedSeq, streamSeq);
  const isComparable = common >= 1 && common >= stream.firstSeq;
  if (isComparable && (rowPayload === undefined || streamPayload !== rowPayload)) {
    return diverged(
      streamPayload === undefined
        ? `event ${common} is missing within the stream`
        : `event ${common} differs between the stream and the database`,
    );
  }
  if (streamSeq === committedSeq) return { kind: 'equal' };
  // With nothing left to compare (expired), the epoch is the evidence, and rows only follow on rows.
  if (streamSeq < committedSeq) return { kind: 'behind', streamSeq };
  // In doubt nothing is imported: event 1 needs no predecessor, any other one must have been compared.
  if (isComparable || (committedSeq === 0 && stream.firstSeq === 1)) return { kind: 'ahead', streamSeq };
  return diverged(`events after ${committedSeq} expired from the stream before they could be adopted`);
};
