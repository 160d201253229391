/**
 * `chat.ops.<name>` for operators: `nats req chat.ops.views ''`. The projectors share the requests (one queue group), so
 * a handler rests on what is in the servers, not on what this process remembers.
 *
 * States: idle → serving → stopped. At most ACTIVE_MAX_COUNT requests run at once, any other is refused (retryable).
 */

import { opsSubject } from '@chat/contracts/subjects';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type Service, onceAsync } from '@chat/platform/service';
import { type OpsAnswer, type OpsHandlers, type OpsInput, invalid, refused } from './ops-handler.ts';
import { answerJson, runHandler } from './run-handler.ts';

const QUEUE = 'projector';
const ACTIVE_MAX_COUNT = 16;
const INPUT_MAX_BYTES = 16 * 1024;
/** Who waits longer for a handler gives its own request a longer time (`nats req --timeout`). */
const RUN_MAX_MS = 10 * 60_000;

export type OpsServiceDeps = {
  readonly nc: NatsHandle['nc'];
  readonly handlers: OpsHandlers;
  readonly log: Logger;
};

export const createOpsService = ({ nc, handlers, log }: OpsServiceDeps): Service => {
  const abort = new AbortController();
  const prefix = opsSubject('');
  let subscription: ReturnType<typeof nc.subscribe> | undefined;
  const active = new Set<Promise<void>>();

  const answerTo = async (subject: string, data: Uint8Array): Promise<OpsAnswer> => {
    if (active.size >= ACTIVE_MAX_COUNT)
      return refused('OPS_OVERLOADED', `${ACTIVE_MAX_COUNT} requests are under way.`, true);
    const input = parseInput(data);
    if (!input) return invalid('The request must be empty or one JSON object of at most 16 KiB.');
    const deps = { handlers, maxMs: RUN_MAX_MS, signal: abort.signal, log };
    return runHandler(deps, subject.slice(prefix.length), input);
  };

  return {
    start: onceAsync(async () => {
      subscription = nc.subscribe(opsSubject('>'), {
        queue: QUEUE,
        callback: (error, message) => {
          if (error) return log.warn({ reason: reasonOf(error) }, 'ops requests not served');
          const serving: Promise<void> = answerTo(message.subject, message.data)
            .then((answer) => void message.respond(JSON.stringify(answerJson(answer))))
            .catch((fault: unknown) =>
              log.warn({ reason: reasonOf(fault) }, 'an ops request was not answered'),
            )
            .finally(() => active.delete(serving));
          active.add(serving);
        },
      });
    }),
    stop: onceAsync(async () => {
      subscription?.unsubscribe();
      abort.abort();
      await Promise.all(active);
    }),
  };
};

/** Undefined: it is not a JSON object. */
const parseInput = (data: Uint8Array): OpsInput | undefined => {
  if (data.length === 0) return {};
  if (data.length > INPUT_MAX_BYTES) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString());
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as OpsInput) : undefined;
  } catch {
    return undefined;
  }
};
