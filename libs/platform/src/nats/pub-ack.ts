/** The answer of JetStream to a publish, parsed without JSON.parse where it is of the two usual shapes. */

export type PubAckResult =
  | { readonly kind: 'ok'; readonly stream: string; readonly seq: number; readonly duplicate: boolean }
  /** `code` is JetStream's `err_code`, e.g. 10071 `wrong last sequence: N`. */
  | { readonly kind: 'error'; readonly code: number; readonly description: string }
  /** Nothing came back in time, or the connection was lost meanwhile: whether it was stored is unknown. */
  | { readonly kind: 'timeout' }
  /** No stream takes this subject, or JetStream has no leader for it at the moment. */
  | { readonly kind: 'no_responders' }
  /** The publisher or the connection was closed; whether it was stored is unknown. */
  | { readonly kind: 'closed' };

const STREAM_PREFIX = '{"stream":"';
const SEQ_KEY = '"seq":';

/** `{"stream":"EVT_0", "seq":17}`, with `,"duplicate": true` for a repeat; anything else goes through JSON.parse. */
export const parsePubAck = (json: string): PubAckResult => {
  if (json.startsWith(STREAM_PREFIX)) {
    const streamEnd = json.indexOf('"', STREAM_PREFIX.length);
    let at = streamEnd + 1;
    if (json.charCodeAt(at) === 0x2c) at++;
    if (json.charCodeAt(at) === 0x20) at++;
    if (streamEnd > 0 && json.startsWith(SEQ_KEY, at)) {
      at += SEQ_KEY.length;
      let seq = 0;
      let digit = json.charCodeAt(at) - 48;
      while (digit >= 0 && digit <= 9) {
        seq = seq * 10 + digit;
        digit = json.charCodeAt(++at) - 48;
      }
      const duplicate = json.length > at + 1 && json.slice(at) === ',"duplicate": true}';
      if (seq > 0 && (duplicate || (json.charCodeAt(at) === 0x7d && json.length === at + 1))) {
        return { kind: 'ok', stream: json.slice(STREAM_PREFIX.length, streamEnd), seq, duplicate };
      }
    }
  }
  return parseSlowly(json);
};

type PubAckJson = {
  readonly stream?: unknown;
  readonly seq?: unknown;
  readonly duplicate?: unknown;
  readonly error?: { readonly err_code?: unknown; readonly description?: unknown };
};

const parseSlowly = (json: string): PubAckResult => {
  let ack: PubAckJson | null;
  try {
    ack = JSON.parse(json) as PubAckJson | null;
  } catch {
    ack = null;
  }
  if (ack?.error) {
    const { err_code: code, description } = ack.error;
    return {
      kind: 'error',
      code: typeof code === 'number' ? code : 0,
      description: typeof description === 'string' ? description : 'unknown',
    };
  }
  if (typeof ack?.stream === 'string' && typeof ack.seq === 'number') {
    return { kind: 'ok', stream: ack.stream, seq: ack.seq, duplicate: ack.duplicate === true };
  }
  return { kind: 'error', code: 0, description: 'the answer is not a publish acknowledgement' };
};

/** The N of `wrong last sequence: N` (error 10071): where the stream stands. */
export const lastSeqOfRefusal = (result: PubAckResult): number | undefined => {
  if (result.kind !== 'error' || result.code !== 10071) return undefined;
  const digits = /wrong last sequence: (\d+)/.exec(result.description)?.[1];
  return digits === undefined ? undefined : Number(digits);
};
