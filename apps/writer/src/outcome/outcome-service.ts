/**
 * Answers `writer.<p>.outcome` for a partition we own: what became of a command. Order: recent outcomes, then
 * a waiter is registered, and only then the table is asked; so a commit between the two is not missed. It is told
 * once its event is in the stream: from there it is adopted should the database come back older (an asynchronous
 * standby that was promoted), so that nobody was told what is then gone.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import type { OutcomeReply, OutcomeRequest } from '@chat/contracts/events';
import { errorCatalogue } from '@chat/contracts/errors';
import { type CommandId, type TeamId, parseCommandId, parseTeamId } from '@chat/contracts/ids';
import { outcomeSubject } from '@chat/contracts/subjects';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { type Outcome, outcomeKey } from '../batch/batch-plan.ts';
import type { Statement } from '../postgres/session.ts';
import { lookupOutcomes } from './lookup-outcomes.ts';
import type { OutcomeWaiters } from './outcome-waiters.ts';
import type { RecentOutcomes } from './recent-outcomes.ts';

/** Contract of `OutcomeRequest`. */
export const OUTCOME_WAIT_MAX_MS = 10_000;
const LOOKUP_GRACE_MS = 1_000;
/** The relay is a millisecond or two behind the commit. */
const RELAY_POLL_MS = 2;

export type OutcomeServiceDeps = {
  readonly nc: NatsConnection;
  readonly recent: RecentOutcomes;
  readonly waiters: OutcomeWaiters;
  /** Not the commit connection: a question never waits behind a batch. */
  readonly query: <Row>(statement: Statement) => Promise<Row[]>;
  /** Why the partition takes no writes; undefined when it does. */
  readonly unavailable: (p: number) => string | undefined;
  /** Last event of the partition that its stream is known to hold; undefined while the partition is not open. */
  readonly relayedSeq: (p: number) => number | undefined;
  readonly log: Logger;
};

export type OutcomeService = { readonly serve: (p: number) => Subscription };

type Asked = OutcomeRequest & { readonly teamId: TeamId; readonly commandId: CommandId };

export const createOutcomeService = (deps: OutcomeServiceDeps): OutcomeService => {
  const { nc, recent, waiters, query, unavailable, log } = deps;

  const isRelayed = async (p: number, seq: number, untilMs: number): Promise<boolean> => {
    while ((deps.relayedSeq(p) ?? -1) < seq) {
      if (performance.now() >= untilMs) return false;
      await delay(RELAY_POLL_MS);
    }
    return true;
  };

  const noOutcome = (p: number): string => {
    const reason = unavailable(p);
    return JSON.stringify(
      (reason === undefined ? { kind: 'pending' } : { kind: 'unavailable', reason }) satisfies OutcomeReply,
    );
  };

  const answer = async (p: number, asked: Asked): Promise<string> => {
    const untilMs = performance.now() + waitMs(asked) + LOOKUP_GRACE_MS;
    const outcome = await find(p, asked);
    if (outcome === undefined || !(await isRelayed(p, outcome.seq, untilMs))) return noOutcome(p);
    return encodeOutcome(asked, outcome);
  };

  const find = async (p: number, asked: Asked): Promise<Outcome | undefined> => {
    const known = recent.get(outcomeKey(asked.teamId, asked.commandId));
    if (known) return known;
    let tell!: (outcome: Outcome | undefined) => void;
    const told = new Promise<Outcome | undefined>((resolve) => (tell = resolve));
    const giveUp = waiters.add(asked.teamId, asked.commandId, tell);
    let isLookedUp = false;
    let isTimeUp = false;
    // `pending` is only said once the table was asked, or does not answer either.
    const timer = setTimeout(
      () => {
        isTimeUp = true;
        if (isLookedUp) tell(undefined);
      },
      giveUp ? waitMs(asked) : 0,
    );
    const lastTimer = setTimeout(() => tell(undefined), waitMs(asked) + LOOKUP_GRACE_MS);
    try {
      void lookupOutcomes(query, [asked])
        .then(
          ([outcome]) => outcome && tell(outcome),
          (error: unknown) => log.debug({ partition: p, reason: reasonOf(error) }, 'outcome not looked up'),
        )
        .then(() => {
          isLookedUp = true;
          if (isTimeUp) tell(undefined);
        });
      return await told;
    } finally {
      clearTimeout(timer);
      clearTimeout(lastTimer);
      giveUp?.();
    }
  };

  return {
    serve: (p) =>
      nc.subscribe(outcomeSubject(p), {
        callback: (error, message) => {
          if (error)
            return log.warn({ partition: p, reason: reasonOf(error) }, 'outcome requests not served');
          const asked = parseRequest(message.data);
          if (!asked) return;
          answer(p, asked).then(
            (reply) => void message.respond(reply),
            (fault: unknown) => log.warn({ partition: p, reason: reasonOf(fault) }, 'outcome not answered'),
          );
        },
      }),
  };
};

const waitMs = (asked: Asked): number => Math.min(Math.max(0, asked.waitMs), OUTCOME_WAIT_MAX_MS);

/** Undefined for what is not a request: its sender is not one of ours and gets no answer. */
const parseRequest = (data: Uint8Array): Asked | undefined => {
  try {
    const raw = JSON.parse(
      Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString(),
    ) as OutcomeRequest;
    const teamId = parseTeamId(raw.teamId);
    const commandId = parseCommandId(raw.commandId);
    if (!teamId || !commandId || typeof raw.waitMs !== 'number') return undefined;
    return { ...raw, teamId, commandId };
  } catch {
    return undefined;
  }
};

const encodeOutcome = (asked: Asked, outcome: Outcome): string => {
  if (outcome.actor !== asked.actor || outcome.hash !== asked.hash) {
    return encodeRejected('MSG_DUPLICATE_SEND', undefined);
  }
  if (outcome.code !== undefined) return encodeRejected(outcome.code, outcome.seq, rejectionMessage(outcome));
  return `{"kind":"persisted","seq":${outcome.seq},"cmdSeq":${outcome.cmdSeq},"event":${outcome.payload ?? 'null'}}`;
};

const rejectionMessage = (outcome: Outcome): string | undefined => {
  if (outcome.payload === undefined) return undefined;
  return (JSON.parse(outcome.payload) as { data?: { message?: string } }).data?.message;
};

const encodeRejected = (
  code: keyof typeof errorCatalogue,
  seq: number | undefined,
  message: string = errorCatalogue[code].message,
): string =>
  JSON.stringify({
    kind: 'rejected',
    ...(seq === undefined ? {} : { seq }),
    code,
    message,
  } satisfies OutcomeReply);
