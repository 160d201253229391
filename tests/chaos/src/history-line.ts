/** One line of `history.jsonl`: what a client (or the runner) did or learned, in the order in which it happened. */

export type LineOp =
  /** A message; `ok` and `fail` are final outcomes, `info` a timeout, a refusal for the moment or a lost connection. */
  | 'send'
  /** A message whose outcome is known, sent once more under its id. */
  | 'repeat'
  /** Told `accepted`. */
  | 'accept'
  /** Any other command: membership changes, read marks. */
  | 'command'
  /** Hello; `ok` carries the head as `seq`, `detail` what kind of resume it was, `from` the cursor it came with. */
  | 'connect'
  /** One event that a device was given. */
  | 'deliver'
  /** How far a device has seen, when its view ends: at the end of the run, or at a snapshot. */
  | 'cursor'
  /** A history page. */
  | 'read'
  /** `invoke`: a fault begins; `info`: a proof; `ok`: it is healed. `client` is its target. */
  | 'fault'
  /** Phases of the run. */
  | 'phase';

export type HistoryLine = {
  readonly run: string;
  readonly seed: number;
  /** Since the start of the run. */
  readonly monoNs: number;
  readonly client: string;
  /** Which connection of the client; 0: none. */
  readonly conn: number;
  readonly op: LineOp;
  readonly type: 'invoke' | 'ok' | 'fail' | 'info';
  readonly msgId?: string;
  readonly channel?: string;
  readonly epoch?: string;
  readonly seq?: number;
  /** Of the event's bytes. */
  readonly hash?: string;
  readonly team?: string;
  readonly user?: string;
  readonly text?: string;
  readonly code?: string;
  readonly detail?: string;
  readonly from?: number;
  readonly isDuplicate?: boolean;
  readonly messages?: readonly (readonly [id: string, channelSeq: number, seq: number])[];
};

export type LineFields = Omit<HistoryLine, 'run' | 'seed' | 'monoNs'>;
