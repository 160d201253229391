/** Runs a handler by name; whatever happens there is an answer. */

import { OverloadedFault, reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { classify } from '@chat/platform/postgres/sqlstate';
import { withTimeout } from '@chat/platform/resilience/deadline';
import { type OpsAnswer, type OpsHandlers, type OpsInput, refused } from './ops-handler.ts';

export type RunDeps = {
  readonly handlers: OpsHandlers;
  readonly maxMs: number;
  readonly signal: AbortSignal;
  readonly log: Logger;
};

export const runHandler = async (deps: RunDeps, name: string, input: OpsInput): Promise<OpsAnswer> => {
  const { handlers, maxMs, signal, log } = deps;
  const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
  if (!handler) {
    const known = Object.keys(handlers).sort().join(', ');
    return refused('OPS_UNKNOWN', `There is no ${JSON.stringify(name)}; there are ${known}.`);
  }
  try {
    return await withTimeout(handler.run(input, signal), maxMs, `ops request ${name}`);
  } catch (error) {
    log.warn({ request: name, reason: reasonOf(error) }, 'an ops request failed');
    if (error instanceof OverloadedFault) return refused('OPS_OVERLOADED', error.message, true);
    return classify(error) === 'transient'
      ? refused('OPS_UNAVAILABLE', reasonOf(error), true)
      : refused('OPS_FAULT', reasonOf(error));
  }
};

/** As it is answered and printed. */
export const answerJson = (answer: OpsAnswer): object => {
  if (answer.kind === 'answered') return answer.value;
  const { code, message, retryable } = answer;
  return { error: { code, message, retryable } };
};
