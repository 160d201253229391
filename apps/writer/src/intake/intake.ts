/**
 * The commands of one owned partition, in stream order, from the committed position on.
 *
 * States: reading → (buffer full: paused → reading) → (doubt: verifying → reading | rereading from 1) → stopped.
 *
 * Bound: INTAKE_MAX_COUNT messages or INTAKE_MAX_BYTES; overflow pauses the feed, nothing is dropped.
 *
 * After any doubt (consumer recreated, reconnect, stream made anew) the broker may have lost its tail and given
 * the same numbers to other commands. Until the last message we saw is found unchanged in the stream, nothing is
 * handed out: a position committed past a replaced command would lose it. If it is gone or another, everything is
 * read again from the first message; commands that are done meet the unique index. What arrives during the doubt says
 * nothing about what was lost before it, so the question is always about where we stood when each doubt began.
 *
 * An answer counts only when the feed's consumer was there before the question: what happened to the stream in between
 * nobody would tell of. Its first message shows that it is there, and waits until the question was asked (again).
 */

import { HEADER_MSG_ID, cmdStream } from '@chat/contracts/streams';
import { Deque } from '@chat/platform/deque';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { FeedMessage, OrderedFeed } from '@chat/platform/nats/ordered-feed';
import { pause } from '@chat/platform/resilience/backoff';
import { HEADER_TRACEPARENT, type Tracer } from '@chat/platform/tracing';
import { type CommandMark, commandMark } from './command-mark.ts';
import { type IntakeMessage, createSubjectTeams } from './decode-command.ts';
import type { Position, verifyPosition } from './verify-position.ts';

export const INTAKE_MAX_COUNT = 8_192;
export const INTAKE_MAX_BYTES = 32 * 1024 * 1024;
const VERIFY_RETRY_MS = 250;
/** Places where we stood at doubts not yet cleared; more of them: read from the first, which is always right. */
const IN_DOUBT_MAX_COUNT = 16;

export type Intake = {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Moves up to `maxCount` messages (and until `maxBytes` are reached) to `into`; none while the position is in doubt. */
  readonly take: (maxCount: number, maxBytes: number, into: (message: IntakeMessage) => void) => number;
  readonly waitingCount: () => number;
  /** The stream's present state is in doubt: verify before anything else is handed out. */
  readonly doubt: (reason: string) => void;
};

export type IntakeDeps = {
  readonly p: number;
  /** The last committed command; reading begins after it. */
  readonly position: Position;
  readonly createFeed: (options: {
    readonly stream: string;
    readonly startSeq: number;
    readonly onMessage: (message: FeedMessage) => void;
    readonly onReset: (reason: string) => void;
  }) => OrderedFeed;
  readonly verify: (position: Position) => ReturnType<typeof verifyPosition>;
  readonly wake: () => void;
  readonly log: Logger;
  readonly maxCount?: number;
  /** Undefined: tracing is off. */
  readonly tracer?: Tracer | undefined;
};

export const createIntake = (deps: IntakeDeps): Intake => {
  const { p, wake, log, tracer, maxCount: boundCount = INTAKE_MAX_COUNT } = deps;
  const teamOf = createSubjectTeams(p);
  const queue = new Deque<IntakeMessage>(1_024);
  const stopping = new AbortController();
  let queuedBytes = 0;
  let isPaused = false;
  let doubts = 0;
  /** Places that must still stand unchanged in the stream. Whoever opened us looked at the first without a consumer. */
  let inDoubt: Position[] = deps.position.seq === 0 ? [] : [deps.position];
  /** The feed was opened (again) and nothing has come yet: no answer is final. */
  let isUnseen = true;
  let verifying: Promise<void> | undefined;
  let lastSeq = deps.position.seq;
  let lastMark: () => CommandMark = () => deps.position.mark;

  const onMessage = (message: FeedMessage): void => {
    const { seq, subject, data } = message;
    // Parsing headers costs more than deciding: only when somebody asks.
    const msgId = (): string => message.headers?.get(HEADER_MSG_ID) ?? '';
    const mark = (): CommandMark => commandMark(msgId(), message.storedAtMs);
    const trace =
      tracer === undefined
        ? undefined
        : tracer.remote('writer.command', message.headers?.get(HEADER_TRACEPARENT), { 'chat.partition': p });
    queue.push({ seq, subject, teamId: teamOf(subject), data, msgId, mark, trace });
    queuedBytes += data.byteLength;
    lastSeq = seq;
    lastMark = mark;
    if (!isPaused && (queue.size >= boundCount || queuedBytes >= INTAKE_MAX_BYTES)) {
      isPaused = true;
      feed.pause();
    }
    if (isUnseen) {
      isUnseen = false;
      if (inDoubt.length > 0) verifySoon();
    }
    if (queue.size === 1) wake();
  };

  const verifySoon = (): void => {
    doubts += 1;
    verifying ??= verifyUntilSure().finally(() => {
      verifying = undefined;
      wake();
    });
  };

  const doubt = (reason: string): void => {
    if (stopping.signal.aborted) return;
    if (inDoubt.at(-1)?.seq !== lastSeq) inDoubt.push({ seq: lastSeq, mark: lastMark() });
    log.debug({ partition: p, reason }, 'command position in doubt');
    verifySoon();
  };

  const onReset = (reason: string): void => {
    isUnseen = true;
    doubt(reason);
  };

  const verifyUntilSure = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const seen = doubts;
      try {
        const isLost = await isAnyLost([...inDoubt]);
        // The next question would be about another stream; read from the first there is nothing left to doubt.
        if (isLost) return rereadAll();
        if (seen !== doubts) continue;
        if (!isUnseen) inDoubt = [];
        return;
      } catch (error) {
        log.debug({ partition: p, reason: reasonOf(error) }, 'command position not verified yet');
        await pause(VERIFY_RETRY_MS, stopping.signal);
      }
    }
  };

  const isAnyLost = async (positions: readonly Position[]): Promise<boolean> => {
    if (positions.length > IN_DOUBT_MAX_COUNT) return true;
    for (const position of positions) if ((await deps.verify(position)) === 'lost') return true;
    return false;
  };

  const rereadAll = (): void => {
    log.warn(
      { partition: p, seq: lastSeq },
      'the command stream lost its tail; reading it again from the first',
    );
    queue.clear();
    queuedBytes = 0;
    inDoubt = [];
    lastSeq = 0;
    lastMark = () => '';
    feed.restartFrom(1);
    if (isPaused) {
      isPaused = false;
      feed.resume();
    }
  };

  const feed = deps.createFeed({
    stream: cmdStream(p),
    startSeq: deps.position.seq + 1,
    onMessage,
    onReset,
  });

  return {
    start: () => feed.start(),
    stop: async () => {
      stopping.abort();
      await feed.stop();
      await verifying;
      queue.clear();
    },
    take: (maxCount, maxBytes, into) => {
      if (verifying) return 0;
      const leastBytes = queuedBytes - maxBytes;
      let count = 0;
      for (; count < maxCount && queuedBytes > leastBytes; count += 1) {
        const message = queue.shift();
        if (!message) break;
        queuedBytes -= message.data.byteLength;
        into(message);
      }
      if (isPaused && queue.size <= boundCount / 2 && queuedBytes <= INTAKE_MAX_BYTES / 2) {
        isPaused = false;
        feed.resume();
        // Nobody watched the stream meanwhile.
        onReset('resumed');
      }
      return count;
    },
    waitingCount: () => (verifying ? 0 : queue.size),
    doubt,
  };
};
