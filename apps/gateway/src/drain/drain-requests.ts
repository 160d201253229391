/**
 * The operator's pre-drain: `nats req gateway.<instance>.drain '{"minutes": 5}'` on a gateway with more sockets than one
 * step of a roll may move (5,000 in 30 s). The answer is JSON; a request that is no good changes nothing.
 */

import { type DrainReply, type DrainRequest, gatewayDrainSubject } from '@chat/contracts/registry';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';

const MINUTES_MAX = 24 * 60;

export type DrainRequestsDeps = {
  readonly nats: NatsHandle;
  readonly instance: string;
  readonly socketCount: () => number;
  /** Answers when the last one goes (ms since the Unix epoch). */
  readonly drainOver: (spreadMs: number) => number;
  readonly log: Logger;
};

export type DrainRequests = { start(): void; stop(): void };

const minutesOf = (json: string): number | undefined => {
  try {
    const { minutes } = JSON.parse(json) as Partial<DrainRequest>;
    return typeof minutes === 'number' && minutes >= 0 && minutes <= MINUTES_MAX ? minutes : undefined;
  } catch {
    return undefined;
  }
};

export const createDrainRequests = (deps: DrainRequestsDeps): DrainRequests => {
  const { instance, log } = deps;
  let subscription: { unsubscribe(): void } | undefined;

  const answer = (json: string): DrainReply => {
    const minutes = minutesOf(json);
    if (minutes === undefined)
      return { ok: false, instance, error: `send {"minutes": n} with n from 0 to ${MINUTES_MAX}` };
    const sockets = deps.socketCount();
    log.warn({ minutes, sockets }, 'an operator drains this gateway');
    const doneAt = new Date(deps.drainOver(minutes * 60_000)).toISOString();
    return { ok: true, instance, sockets, minutes, doneAt };
  };

  return {
    start: () => {
      subscription ??= deps.nats.nc.subscribe(gatewayDrainSubject(instance), {
        callback: (error, msg) => {
          if (error) log.error({ reason: error.message }, 'drain requests cannot be received');
          else msg.respond(JSON.stringify(answer(msg.string())));
        },
      });
    },
    stop: () => subscription?.unsubscribe(),
  };
};
