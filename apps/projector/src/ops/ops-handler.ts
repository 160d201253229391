/**
 * What an operator may ask of the read side, by name: served on `chat.ops.<name>` and run by the command line (cli.ts), by
 * the same handlers. A handler reads its input, refuses what it does not understand before it changes anything, and does
 * the same when asked twice by two.
 */

export type OpsInput = Readonly<Record<string, unknown>>;

export type OpsRefusal = {
  readonly kind: 'refused';
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
};
export type OpsAnswer = { readonly kind: 'answered'; readonly value: object } | OpsRefusal;

export type OpsHandler = {
  /** One line for a person. */
  readonly help: string;
  /** Names of the input that the command line takes without a flag, in order. */
  readonly args?: readonly string[];
  /** Throws on trouble of a server: answered as OPS_UNAVAILABLE. `signal`: the process is stopping. */
  readonly run: (input: OpsInput, signal: AbortSignal) => Promise<OpsAnswer>;
};

export type OpsHandlers = Readonly<Record<string, OpsHandler>>;

export const answered = (value: object): OpsAnswer => ({ kind: 'answered', value });

export const refused = (code: string, message: string, retryable = false): OpsRefusal => ({
  kind: 'refused',
  code,
  message,
  retryable,
});

export const invalid = (message: string): OpsRefusal => refused('OPS_INPUT_INVALID', message);
