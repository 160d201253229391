/**
 * The messages that users send over sockets or through another api, for the limit of messages: of each team in which
 * somebody sends through this api, the events are heard as the writer appends them (a plain subscription: no consumer, no
 * replay), from the first send on until nobody sent for a minute, which is as long as the limit remembers.
 *
 * Nothing but a limit hangs on it: an event that is lost is not counted, and one that comes again is told by its number.
 *
 * Bounds: TEAMS_MAX_COUNT teams, the one longest without a send is let go; OWN_MAX_COUNT sends of our own that were not
 * seen in the log yet, the oldest is let go (and then counted twice).
 */

import { performance } from 'node:perf_hooks';
import type { EventElement } from '@chat/contracts/events';
import type { CommandId, TeamId, UserId } from '@chat/contracts/ids';
import { teamEventsSubject } from '@chat/contracts/subjects';
import { reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { type Service, onceAsync } from '@chat/platform/service';

const TEAMS_MAX_COUNT = 1_000;
const OWN_MAX_COUNT = 10_000;
const HEARD_FOR_MS = 60_000;
const SWEEP_EVERY_MS = 10_000;
/** In an encoded event only at its head: in a text its quotes would be escaped. */
const MESSAGE_MARK = Buffer.from('"type":"message.sent"');

export type SentElsewhere = Service & {
  /** Of our own: its event is not to be counted again. */
  sending(teamId: TeamId, id: CommandId): void;
};

export type SentElsewhereDeps = {
  readonly nats: Pick<NatsHandle, 'nc'>;
  readonly onSent: (userId: UserId) => void;
  readonly log: Logger;
};

type Heard = { lastSendAtMs: number; lastSeq: number; readonly stop: () => void };

export const createSentElsewhere = ({ nats, onSent, log }: SentElsewhereDeps): SentElsewhere => {
  /** Ordered by the last send. */
  const teams = new Map<TeamId, Heard>();
  const own = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const hear = (teamId: TeamId, data: Uint8Array): void => {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const heard = teams.get(teamId);
    if (!heard || !bytes.includes(MESSAGE_MARK)) return;
    const event = decode(bytes);
    if (!event || event.seq <= heard.lastSeq) return;
    heard.lastSeq = event.seq;
    if (!own.delete(keyOf(teamId, event.commandId))) onSent(event.actor);
  };

  const listen = (teamId: TeamId): (() => void) => {
    try {
      const subscription = nats.nc.subscribe(teamEventsSubject(teamId), {
        callback: (error, msg) => {
          if (error === null) hear(teamId, msg.data);
          else log.warn({ teamId, reason: reasonOf(error) }, 'sends by other ways cannot be heard');
        },
      });
      return () => subscription.unsubscribe();
    } catch (error) {
      // The connection is closed for good: this process is stopping.
      log.debug({ teamId, reason: reasonOf(error) }, 'sends by other ways are not heard');
      return () => undefined;
    }
  };

  const forget = (teamId: TeamId, heard: Heard): void => {
    teams.delete(teamId);
    heard.stop();
  };

  const sweep = (): void => {
    const nowMs = performance.now();
    for (const [teamId, heard] of teams) {
      if (nowMs - heard.lastSendAtMs < HEARD_FOR_MS) return;
      forget(teamId, heard);
    }
  };

  const letGoOldest = (): void => {
    for (const [teamId, heard] of teams) {
      if (teams.size < TEAMS_MAX_COUNT) return;
      forget(teamId, heard);
    }
  };

  return {
    sending: (teamId, id) => {
      if (own.size >= OWN_MAX_COUNT) {
        const oldest = own.values().next().value;
        if (oldest !== undefined) own.delete(oldest);
      }
      own.add(keyOf(teamId, id));
      let heard = teams.get(teamId);
      teams.delete(teamId);
      if (!heard) {
        letGoOldest();
        heard = { lastSendAtMs: 0, lastSeq: 0, stop: listen(teamId) };
      }
      heard.lastSendAtMs = performance.now();
      teams.set(teamId, heard);
    },
    start: onceAsync(async () => {
      timer = setInterval(sweep, SWEEP_EVERY_MS);
      timer.unref();
    }),
    stop: onceAsync(async () => {
      clearInterval(timer);
      for (const [teamId, heard] of teams) forget(teamId, heard);
    }),
  };
};

/** What is no event is not counted: a limit must not end the process. */
const decode = (bytes: Buffer): EventElement | undefined => {
  try {
    return JSON.parse(bytes.toString('utf8')) as EventElement;
  } catch {
    return undefined;
  }
};

const keyOf = (teamId: TeamId, id: CommandId): string => `${teamId}/${id}`;
