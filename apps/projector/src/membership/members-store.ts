/**
 * The last-value stream `MEMBERS`, written by compare-and-swap on each subject: a projector that lags behind another
 * one (or was stopped for a while) never replaces a newer value.
 */

import { ERR_WRONG_LAST_SEQUENCE, membersStream } from '@chat/contracts/streams';
import { JetStreamApiError } from '@nats-io/jetstream';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { ensureMembersStream, getMessage } from '@chat/platform/nats/streams';

/** What every value of the stream says of itself. */
export type Stamped = { readonly asOf: number; readonly epoch: string };
export type Stored = Stamped & { readonly seq: number };

export type PutResult =
  | { readonly kind: 'stored'; readonly seq: number }
  /** The stream holds a value of the same epoch that is as new or newer. */
  | { readonly kind: 'newer'; readonly stored: Stored };

export type MembersStore = {
  /** Makes the stream if it is not there. True when it was made now: it is empty. */
  ensure(): Promise<boolean>;
  /** The value now in the stream. */
  get(subject: string): Promise<Stored | undefined>;
  /**
   * Stores the value unless a newer one is there. Throws when NATS does not answer. `known`: what `get` has just
   * answered (`none`: nothing), which spares the question unless it has changed since.
   */
  put(subject: string, value: Stamped, known?: Stored | 'none'): Promise<PutResult>;
  /** As `put`, but replaces a value that is as new as well: one that is wrong. */
  putRight(subject: string, value: Stamped): Promise<PutResult>;
};

const PUBLISH_TIMEOUT_MS = 3_000;
/** Each lost race means that another value was stored in between; more than this is no race. */
const RACE_MAX_COUNT = 50;

/** `replicas`: of the stream, when it is made here. */
export const createMembersStore = (
  { js, jsm }: Pick<NatsHandle, 'js' | 'jsm'>,
  replicas = 1,
): MembersStore => {
  const get = async (subject: string): Promise<Stored | undefined> => {
    const message = await getMessage(jsm, membersStream, { lastBySubject: subject });
    if (!message) return undefined;
    const { asOf, epoch } = JSON.parse(Buffer.from(message.data).toString()) as Stamped;
    return { asOf, epoch, seq: message.seq };
  };

  const swap = async (subject: string, value: Stamped, lastSubjectSequence: number) => {
    try {
      const { seq } = await js.publish(subject, JSON.stringify(value), {
        timeout: PUBLISH_TIMEOUT_MS,
        expect: { lastSubjectSequence },
      });
      return seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === ERR_WRONG_LAST_SEQUENCE) return undefined;
      throw error;
    }
  };

  const put = async (
    subject: string,
    value: Stamped,
    known: Stored | 'none' | undefined,
    isKept: (stored: Stored) => boolean,
  ): Promise<PutResult> => {
    for (let race = 0; race < RACE_MAX_COUNT; race += 1) {
      const stored =
        race > 0 || known === undefined ? await get(subject) : known === 'none' ? undefined : known;
      if (stored && stored.epoch === value.epoch && isKept(stored)) return { kind: 'newer', stored };
      const seq = await swap(subject, value, stored?.seq ?? 0);
      if (seq !== undefined) return { kind: 'stored', seq };
    }
    throw new Error(`${subject} changed ${RACE_MAX_COUNT} times while it was written`);
  };

  return {
    ensure: async () => (await ensureMembersStream(jsm, { replicas })).created,
    get,
    put: (subject, value, known) => put(subject, value, known, ({ asOf }) => asOf >= value.asOf),
    putRight: (subject, value) => put(subject, value, undefined, ({ asOf }) => asOf > value.asOf),
  };
};
