/** The JetStream streams: names, subjects and the bounds the design gives them. */

export const cmdStream = (partition: number): string => `CMD_${partition}`;
export const evtStream = (partition: number): string => `EVT_${partition}`;
export const membersStream = 'MEMBERS';

/** Broker window in which a repeated `Nats-Msg-Id` is dropped (design: 10 min). Older repeats meet the unique index. */
export const CMD_DUPLICATE_WINDOW_MS = 10 * 60_000;
/** `discard: new` above this: a full command stream refuses, it never drops. */
export const CMD_MAX_BYTES = 1024 * 1024 * 1024;
/** How long events stay in the stream (design: 7 d); older cursors get `snapshot_required`. */
export const EVT_MAX_AGE_MS = 7 * 24 * 3_600_000;
/** Largest message either stream takes. Events are bounded well below it when they are decided. */
export const STREAM_MSG_MAX_BYTES = 256 * 1024;

/** Key in the EVT stream's metadata that holds the epoch. */
export const EPOCH_METADATA_KEY = 'epoch';

export const HEADER_MSG_ID = 'Nats-Msg-Id';
export const HEADER_EXPECTED_LAST_SEQ = 'Nats-Expected-Last-Sequence';
/** On every event in EVT but the last of its command: a stream that ends with such a one ends in the middle of a command. */
export const HEADER_MORE_OF_COMMAND = 'Chat-More';
/** JetStream error code of a refused append: `wrong last sequence: N`. */
export const ERR_WRONG_LAST_SEQUENCE = 10071;
