/** What tests and the local stack may do to a server, whichever it is. */
export type ServerHandle = {
  readonly port: number;
  /** Of the process that runs now; changes with `restart`. */
  readonly pid: number;
  /** Graceful. Idempotent. */
  readonly stop: () => Promise<void>;
  /** SIGKILL, as a crash; resolves when every process of the server is gone. */
  readonly kill: () => Promise<void>;
  /** SIGSTOP to every process of the server. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** Starts it again on the same port and data; it must not run. */
  readonly start: () => Promise<void>;
  /** `stop` (if it runs) and `start`. */
  readonly restart: () => Promise<void>;
  /** Resolves when the process that runs now has ended, for whatever reason. */
  readonly exited: () => Promise<void>;
  readonly isRunning: () => boolean;
  /** Asks for its liveness as a platform's probe does. True: only a restart helps it. Undefined: it does not answer. */
  readonly needsRestart?: () => Promise<boolean | undefined>;
  readonly tail: () => readonly string[];
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};
