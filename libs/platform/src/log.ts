import { pino } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

type LogFn = {
  (fields: object, message: string): void;
  (message: string): void;
};

/** What the code logs with: a sentence and, before it, an object of fields that hold no message text. */
export type Logger = {
  trace: LogFn;
  debug: LogFn;
  info: LogFn;
  warn: LogFn;
  error: LogFn;
  fatal: LogFn;
  child(fields: object): Logger;
  flush(): void;
};

/**
 * Field names whose values never reach the log, at the top and two levels down. It is the second guard: the
 * first is that nobody passes payloads to the logger.
 */
const redactedNames = [
  'token',
  'password',
  'pass',
  'authorization',
  'cookie',
  'secret',
  'apiKey',
  'privateKey',
  'jwt',
  'text',
  'body',
  'payload',
  'data',
  'email',
  'address',
  'DATABASE_URL',
  'NATS_PASSWORD',
];
const redactPaths = redactedNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

export type LoggerOptions = {
  readonly app: string;
  readonly instance: string;
  readonly level?: LogLevel;
  /** Where lines go; standard output by default. */
  readonly destination?: { write(line: string): void };
};

/** JSON lines on standard output: `time` (ms), `level` (name), `app`, `instance`, `msg` and the given fields. */
export const createLogger = ({ app, instance, level = 'info', destination }: LoggerOptions): Logger =>
  pino(
    {
      level,
      base: { app, instance },
      redact: { paths: redactPaths, censor: '[redacted]' },
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError, error: serializeError },
    },
    // Synchronous: a line written before a crash is there after it. Hot paths do not log.
    destination ?? pino.destination({ dest: 1, sync: true }),
  );

/** Only name, code, message and stack: driver errors carry rows, queries and connection strings as properties. */
const serializeError = (error: unknown): unknown => {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, cause } = error;
  const code = (error as { code?: unknown }).code;
  return {
    name,
    ...(code === undefined ? {} : { code }),
    message,
    stack,
    ...(cause === undefined ? {} : { cause: cause instanceof Error ? cause.message : String(cause) }),
  };
};

/** Swallows everything; for tests and tools. */
export const silentLogger = (): Logger => {
  const nothing = (): void => undefined;
  const log: Logger = {
    trace: nothing,
    debug: nothing,
    info: nothing,
    warn: nothing,
    error: nothing,
    fatal: nothing,
    child: () => log,
    flush: nothing,
  };
  return log;
};
