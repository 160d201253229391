/** The streams of the design: made when missing, refused when they cannot keep the promises, read with care. */

import {
  CMD_DUPLICATE_WINDOW_MS,
  CMD_MAX_BYTES,
  EPOCH_METADATA_KEY,
  EVT_MAX_AGE_MS,
  STREAM_MSG_MAX_BYTES,
  cmdStream,
  evtStream,
  membersStream,
} from '@chat/contracts/streams';
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StoredMsg,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/nats-core';
import { IncompatibleFault, TimeoutFault } from '../faults.ts';

export type StreamState =
  | {
      readonly exists: true;
      /** last + 1 while the stream is empty. */
      readonly firstSeq: number;
      readonly lastSeq: number;
      readonly messages: number;
      readonly bytes: number;
      /** From the metadata of an EVT stream. */
      readonly epoch: string | undefined;
      /** When this incarnation was made (RFC 3339); another value means another stream. */
      readonly created: string;
    }
  | { readonly exists: false };

export type ExistingStreamState = Extract<StreamState, { exists: true }>;

export type EnsureOptions = {
  /** 1 locally, 3 in production. */
  readonly replicas?: number;
  readonly maxBytes?: number;
};
export type EnsureResult = { readonly created: boolean; readonly state: ExistingStreamState };

/** Commands of partition `p`: never dropped by age, refused when full, repeats dropped within the window. */
export const ensureCmdStream = (
  jsm: JetStreamManager,
  p: number,
  opts: EnsureOptions = {},
): Promise<EnsureResult> =>
  ensureStream(jsm, {
    ...common(opts),
    name: cmdStream(p),
    subjects: [`cmd.${p}.>`],
    discard: DiscardPolicy.New,
    max_bytes: opts.maxBytes ?? CMD_MAX_BYTES,
    duplicate_window: nanos(CMD_DUPLICATE_WINDOW_MS),
  });

export type EnsureEvtOptions = EnsureOptions & {
  /** Written into a stream that is made now. An existing stream keeps its own: compare `state.epoch`. */
  readonly epoch: string;
  /** Sequence of the first message of a stream that is made now (recreated after a loss). */
  readonly firstSeq?: number;
};

/** Events of partition `p`: kept 7 days, oldest dropped first. */
export const ensureEvtStream = (
  jsm: JetStreamManager,
  p: number,
  opts: EnsureEvtOptions,
): Promise<EnsureResult> =>
  ensureStream(jsm, {
    ...common(opts),
    name: evtStream(p),
    subjects: [`evt.${p}.>`],
    discard: DiscardPolicy.Old,
    max_age: nanos(EVT_MAX_AGE_MS),
    max_bytes: opts.maxBytes ?? -1,
    metadata: { [EPOCH_METADATA_KEY]: opts.epoch },
    ...(opts.firstSeq !== undefined && opts.firstSeq > 1 ? { first_seq: opts.firstSeq } : {}),
  });

/** The membership view: the last value per user. */
export const ensureMembersStream = (jsm: JetStreamManager, opts: EnsureOptions = {}): Promise<EnsureResult> =>
  ensureStream(jsm, {
    ...common(opts),
    name: membersStream,
    subjects: ['mbr.>'],
    discard: DiscardPolicy.Old,
    max_msgs_per_subject: 1,
    max_bytes: opts.maxBytes ?? -1,
  });

type WantedConfig = Partial<StreamConfig> & { readonly name: string; readonly subjects: string[] };

const common = (opts: EnsureOptions): Partial<StreamConfig> => ({
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  num_replicas: opts.replicas ?? 1,
  allow_direct: true,
  max_msg_size: STREAM_MSG_MAX_BYTES,
});

/**
 * An existing stream is left as it is (operators may have tuned its bounds) unless it differs in what the promises rest
 * on: then IncompatibleFault STREAM_INCOMPATIBLE says in what.
 */
const ensureStream = async (jsm: JetStreamManager, wanted: WantedConfig): Promise<EnsureResult> => {
  for (;;) {
    const found = await infoOf(jsm, wanted.name);
    if (found !== undefined) {
      requireCompatible(wanted, found.config);
      return { created: false, state: stateOf(found) };
    }
    try {
      return { created: true, state: stateOf(await jsm.streams.add(wanted)) };
    } catch (error) {
      // Another process was quicker, with another configuration: look at what it made.
      if (!(error instanceof JetStreamApiError) || error.code !== ERR_STREAM_NAME_IN_USE) throw error;
    }
  }
};

const ERR_STREAM_NAME_IN_USE = 10058;

const requireCompatible = (wanted: WantedConfig, found: StreamConfig): void => {
  const differing: string[] = [];
  const same = (what: string, a: unknown, b: unknown): void => {
    if (a !== b) differing.push(`${what} is ${String(b)}, not ${String(a)}`);
  };
  same('subjects', wanted.subjects.join(), [...found.subjects].join());
  same('retention', wanted.retention, found.retention);
  same('discard', wanted.discard, found.discard);
  same('allow_direct', true, found.allow_direct);
  if (wanted.max_age === undefined) same('max_age', 0, found.max_age);
  if (wanted.max_msgs_per_subject !== undefined) {
    same('max_msgs_per_subject', wanted.max_msgs_per_subject, found.max_msgs_per_subject);
  }
  if (wanted.duplicate_window !== undefined && found.duplicate_window < wanted.duplicate_window) {
    differing.push('duplicate_window is shorter than needed');
  }
  if (differing.length === 0) return;
  throw new IncompatibleFault(
    'STREAM_INCOMPATIBLE',
    `stream ${wanted.name} cannot be used: ${differing.join('; ')}`,
  );
};

const infoOf = async (jsm: JetStreamManager, name: string): Promise<StreamInfo | undefined> => {
  try {
    return await jsm.streams.info(name);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound)
      return undefined;
    throw error;
  }
};

const stateOf = ({ state, config, created }: StreamInfo): ExistingStreamState => ({
  exists: true,
  // The server says 0 of a stream that never held anything.
  firstSeq: state.messages === 0 ? state.last_seq + 1 : state.first_seq,
  lastSeq: state.last_seq,
  messages: state.messages,
  bytes: state.bytes,
  epoch: config.metadata?.[EPOCH_METADATA_KEY],
  created: String(created),
});

/** Asked of the stream's leader. A stream that does not exist is a value; no answer (no leader, no server) is thrown. */
export const streamState = async (jsm: JetStreamManager, name: string): Promise<StreamState> => {
  const info = await infoOf(jsm, name);
  return info === undefined ? { exists: false } : stateOf(info);
};

export type MessageQuery =
  | { readonly seq: number }
  | { readonly lastBySubject: string }
  /** The first message of the subject (or pattern) at or behind a sequence. */
  | { readonly fromSeq: number; readonly subject: string };

const messageRequest = (query: MessageQuery) => {
  if ('seq' in query) return { seq: query.seq };
  if ('lastBySubject' in query) return { last_by_subj: query.lastBySubject };
  return { seq: query.fromSeq, next_by_subj: query.subject };
};

export type StoredMessage = {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  /** When the stream stored it, ms since the Unix epoch. */
  readonly storedAtMs: number;
  /** A header's value, or '' (as nats-core answers). */
  header(name: string): string;
};

const storedMessage = (msg: StoredMsg): StoredMessage => ({
  seq: msg.seq,
  subject: msg.subject,
  data: msg.data,
  storedAtMs: msg.time.getTime(),
  header: (name) => msg.header?.get(name) ?? '',
});

/**
 * One message as the stream's *leader* has it (`STREAM.MSG.GET`: consistent, unlike a direct get, which a lagging
 * follower may answer). Undefined when there is none, or no such stream.
 */
export const getMessage = async (
  jsm: JetStreamManager,
  stream: string,
  query: MessageQuery,
): Promise<StoredMessage | undefined> => {
  try {
    const msg = await jsm.streams.getMessage(stream, messageRequest(query));
    return msg === null ? undefined : storedMessage(msg);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound)
      return undefined;
    throw error;
  }
};

export type RangeQuery = {
  /** A subject or a pattern. */
  readonly subject: string;
  readonly fromSeq: number;
  readonly maxCount: number;
  /** The server stops at the message that reaches it, so that at least one message comes. */
  readonly maxBytes: number;
  readonly timeoutMs?: number;
};

export type RangeResult = {
  readonly messages: readonly StoredMessage[];
  /** Messages of the subject behind the last one given, as the answering server sees it. */
  readonly pendingCount: number;
};

const RANGE_TIMEOUT_MS = 5_000;

/**
 * Messages of one subject from a sequence on, by direct get: cheap, but *any* replica may answer, also one that lags. Who
 * needs completeness checks how far the answer reaches: it is complete up to its last message; beyond that only the
 * leader (`getMessage` with `lastBySubject`) can say that nothing follows.
 * Direct-get batches have no flow control: at most 8 at once, of bounded size, on a connection of their own (facts).
 */
export const getBySubjectFrom = (
  jsm: JetStreamManager,
  stream: string,
  query: RangeQuery,
): Promise<RangeResult> =>
  new Promise<RangeResult>((resolve, reject) => {
    const { subject, fromSeq, maxCount, maxBytes, timeoutMs = RANGE_TIMEOUT_MS } = query;
    const messages: StoredMessage[] = [];
    let pendingCount = 0;
    let batch: { stop(): void } | undefined;
    let settled = false;
    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      // The library unsubscribes when its iterator is stopped; a lost connection would leave both for ever.
      batch?.stop();
      finish();
    };
    const timer = setTimeout(
      () => settle(() => reject(new TimeoutFault(`reading ${subject} from ${stream}`, timeoutMs))),
      timeoutMs,
    );
    jsm.direct
      .getBatch(stream, {
        seq: Math.max(1, fromSeq),
        next_by_subj: subject,
        batch: maxCount,
        max_bytes: maxBytes,
        callback: (done, msg) => {
          if (done === null) {
            messages.push(storedMessage(msg));
            pendingCount = msg.pending;
          } else if (done.err === undefined || isNotFound(done.err)) {
            settle(() => resolve({ messages, pendingCount }));
          } else settle(() => reject(done.err));
        },
      })
      .then(
        (iterator) => {
          batch = iterator;
          if (settled) iterator.stop();
        },
        (error: unknown) => settle(() => reject(error)),
      );
  });

/** An empty range is answered with "404 Message Not Found" (facts). */
const isNotFound = (error: Error): boolean =>
  (error as { code?: unknown }).code === 404 || /not found/i.test(error.message);
