/**
 * What the apis answer while their store is broken and after. Sends need no read store, so the load cannot tell: a
 * nemesis of the store asks itself.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { type ErrorBody, errorCatalogue } from '@chat/contracts/errors';
import { partitionOf } from '@chat/contracts/ids';
import { eventually } from '@chat/testkit/checking/eventually';
import { lastSeqOf } from '../../dump.ts';
import type { Injection } from '../../nemesis.ts';

/** Twice what I5 promises: the machine may be nobody's own. What it took is in the proof. */
const BACK_TIMEOUT_MS = 60_000;
/** A read may run into its time-out (5 s, twice) before it is refused. */
const REFUSED_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

type Answer = { readonly status: number; readonly body: Partial<ErrorBody> | undefined };

/** Of an api that may not answer at all: status 0. */
const ask = async ({ stack, workload }: Injection, apiUrl: string, query: string): Promise<Answer> => {
  const team = workload.teams[0];
  const owner = team?.userIds[0];
  if (!team || !owner) throw new Error('there is no team to ask for');
  try {
    const response = await fetch(`${apiUrl}/api/v1/channels?teamId=${team.teamId}${query}`, {
      headers: { authorization: `Bearer ${await stack.mintToken(owner)}` },
      signal: AbortSignal.timeout(REFUSED_TIMEOUT_MS),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  } catch {
    return { status: 0, body: undefined };
  }
};

const isRefusal = ({ status, body }: Answer): boolean =>
  status === 503 && body?.retryable === true && body.code !== undefined && body.code in errorCatalogue;

/** Waits until every api refuses reads for the moment. A refusal that is none of ours throws; the end of the nemesis ends the wait. */
export const refusedReads = async (injection: Injection): Promise<readonly string[]> => {
  const proofs: string[] = [];
  for (const apiUrl of injection.stack.apiUrls) {
    for (const fromMs = performance.now(); ;) {
      const answer = await ask(injection, apiUrl, '');
      if (isRefusal(answer)) {
        proofs.push(`a read is refused with ${answer.status} ${answer.body?.code}`);
        break;
      }
      if (answer.status !== 200 && answer.status !== 0)
        throw new Error(`a read was answered ${answer.status} ${answer.body?.code}`);
      if (injection.signal.aborted) return proofs;
      if (performance.now() - fromMs > REFUSED_TIMEOUT_MS) throw new Error('reads are not refused');
      await delay(POLL_MS);
    }
  }
  return proofs;
};

/** Waits until every api answers reads with all that is persisted now. */
export const readsBack = async (injection: Injection): Promise<readonly string[]> => {
  const { stack, workload } = injection;
  const team = workload.teams[0];
  if (!team) throw new Error('there is no team to ask for');
  const fromMs = performance.now();
  // PostgreSQL is well, but a busy machine may let the question run into its time-out.
  const lastSeq = await eventually('the end of the log', () => lastSeqOf(stack, partitionOf(team.teamId)), {
    timeoutMs: BACK_TIMEOUT_MS,
  });
  for (const apiUrl of stack.apiUrls) {
    for (;;) {
      const { status, body } = await ask(injection, apiUrl, `&minSeq=${lastSeq}`);
      if (status === 200) break;
      if (performance.now() - fromMs > BACK_TIMEOUT_MS)
        throw new Error(`reads are not back ${BACK_TIMEOUT_MS} ms after the heal: ${status} ${body?.code}`);
      await delay(POLL_MS);
    }
  }
  const tookMs = Math.round(performance.now() - fromMs);
  return [`reads have everything up to ${lastSeq} again ${tookMs} ms after the heal`];
};
