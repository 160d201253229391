/**
 * Faults: what went wrong on our side or below us. They are thrown, carry a stable `code` and the `cause`.
 * A refusal (a wish that may not be) is never one of these; it is a value.
 */

type FaultOptions = { readonly cause?: unknown; readonly code?: string };

export class Fault extends Error {
  readonly code: string;
  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
  }
}

/** The environment is wrong. `problems` holds one sentence per bad or missing name. */
export class ConfigError extends Fault {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super('CONFIG_INVALID', `The configuration is not valid:\n${problems.map((p) => `  - ${p}`).join('\n')}`);
    this.problems = problems;
  }
}

/** Nothing came back in time; whether it happened is unknown. */
export class TimeoutFault extends Fault {
  readonly timeoutMs: number;
  constructor(what: string, timeoutMs: number, options: FaultOptions = {}) {
    super(options.code ?? 'TIMEOUT', `${what} did not finish within ${timeoutMs} ms`, options.cause);
    this.timeoutMs = timeoutMs;
  }
}

/** A server that is needed does not answer or refuses for the moment; the same may work later. */
export class UnavailableFault extends Fault {
  constructor(message: string, options: FaultOptions = {}) {
    super(options.code ?? 'UNAVAILABLE', message, options.cause);
  }
}

/** A bound of our own was reached; nothing was begun. The same may work a little later. */
export class OverloadedFault extends UnavailableFault {
  constructor(message: string) {
    super(message, { code: 'OVERLOADED' });
  }
}

/** Another process owns what we thought was ours. Stop at once and forget every cached state. */
export class FencedFault extends Fault {
  constructor(message: string, options: FaultOptions = {}) {
    super(options.code ?? 'FENCED', message, options.cause);
  }
}

/** The operation was given up because its owner is stopping. */
export class StoppedFault extends Fault {
  constructor(what: string) {
    super('STOPPED', `${what} was given up because it is being stopped`);
  }
}

/** A server that we found but cannot work with (too old, wrong settings). Waiting does not help. */
export class IncompatibleFault extends Fault {
  constructor(code: string, message: string, cause?: unknown) {
    super(code, message, cause);
  }
}

/** The `code` of a fault, of a Node or PostgreSQL error, or undefined. */
export const codeOf = (error: unknown): string | undefined => {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
};

/** What to write about an error in a log field: never the object, whose properties may hold payloads. */
export const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  // Connecting to several addresses fails with an AggregateError whose own message is empty.
  const message =
    error.message === '' && error instanceof AggregateError
      ? error.errors.map((e) => (e instanceof Error ? e.message : String(e))).join('; ')
      : error.message;
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`;
};
