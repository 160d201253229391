/**
 * What one batch will write: columns, ready to become the arrays of `commit_batch`. A plan is thrown away when
 * it does not commit; nothing outside it (except the cached teams it touched) has changed until then.
 */

import { type EventElement, type EventType, encodeEvent, eventVersions } from '@chat/contracts/events';
import type { ErrorCode } from '@chat/contracts/errors';
import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import type { Scope } from '@chat/contracts/subjects';
import type { CommandMark } from '../intake/command-mark.ts';
import type { CommandOutcome } from '../metrics/writer-metrics.ts';
import type { RelayEvent } from '../relay/relay.ts';
import { StateChanges } from './state-changes.ts';

/** The first and final outcome of a command id. */
export type Outcome = {
  /** `outcomeKey`, made once: building and hashing it is a good part of deciding. */
  readonly key: string;
  readonly teamId: TeamId;
  readonly commandId: CommandId;
  readonly actor: UserId;
  readonly hash: string;
  /** First event of the command. */
  readonly seq: number;
  /** Its place in CMD; 0 when unknown. */
  readonly cmdSeq: number;
  /** Set when the command was rejected. */
  readonly code: ErrorCode | undefined;
  /** The first event, encoded; undefined when it must be read from the event log. */
  readonly payload: string | undefined;
};

export const outcomeKey = (teamId: TeamId, commandId: CommandId): string => teamId + commandId;

/** A partition's share of the plan. `expected` and `next` are event ids: next_id before and after. */
export type PlanPart = {
  readonly p: number;
  readonly ownerEpoch: number;
  readonly expected: number;
  next: number;
  cmdSeq: number;
  /** Of the command at `cmdSeq`; asked once, when the plan is committed. */
  cmdMark: () => CommandMark;
  readonly events: RelayEvent[];
};

/** Where an event comes from: all events of a command carry its id, hash and actor. */
export type Origin = {
  readonly teamId: TeamId;
  readonly id: CommandId;
  readonly actor: UserId;
  readonly hash: string;
};

export class BatchPlan {
  readonly parts = new Map<number, PlanPart>();
  readonly changes = new StateChanges();
  readonly touchedTeams = new Set<TeamId>();
  /** By `outcomeKey`: commands decided in this batch. */
  readonly outcomes = new Map<string, Outcome>();
  /** How many commands of each name and outcome; for metrics. */
  readonly tally = new Map<CommandOutcome, Map<string, number>>();
  /** Commands that had an outcome before: nobody is written to, who waits is told. */
  readonly repeats: Outcome[] = [];
  readonly e = {
    p: [] as number[],
    id: [] as number[],
    team: [] as string[],
    scope: [] as string[],
    type: [] as string[],
    version: [] as number[],
    command: [] as string[],
    at: [] as number[],
    payload: [] as string[],
  };
  readonly c = {
    p: [] as number[],
    team: [] as string[],
    command: [] as string[],
    actor: [] as string[],
    hash: [] as string[],
    event: [] as number[],
    seq: [] as number[],
    code: [] as string[],
  };

  /** Encodes the event once; these bytes go to `event_log`, to EVT and to every client. Answers them. */
  addEvent(
    part: PlanPart,
    origin: Origin,
    type: EventType,
    scope: Scope,
    at: number,
    channelId: ChannelId | undefined,
    channelSeq: number | undefined,
    dataJson: string,
  ): string {
    const seq = part.next;
    const { teamId, id, actor, hash } = origin;
    const version = eventVersions[type];
    const payload = encodeEvent(seq, type, version, at, channelId, channelSeq, id, hash, actor, dataJson);
    // Not `evtSubject`: a rejection may name a team that belongs to another partition.
    part.events.push({ seq, subject: `evt.${part.p}.${teamId}.${scope}`, payload });
    this.#addRow(part, teamId, scope, type, version, id, at, payload);
    return payload;
  }

  /** An event that stands in the stream already, with its very bytes; nothing is relayed. */
  addStored(part: PlanPart, teamId: TeamId, scope: Scope, element: EventElement, payload: string): void {
    this.#addRow(part, teamId, scope, element.type, element.v, element.commandId, element.at, payload);
  }

  #addRow(
    part: PlanPart,
    teamId: TeamId,
    scope: Scope,
    type: EventType,
    version: number,
    commandId: CommandId,
    at: number,
    payload: string,
  ): void {
    const { e } = this;
    e.p.push(part.p);
    e.id.push(part.next);
    e.team.push(teamId);
    e.scope.push(scope);
    e.type.push(type);
    e.version.push(version);
    e.command.push(commandId);
    e.at.push(at);
    e.payload.push(payload);
    part.next += 1;
  }

  count(name: string, outcome: CommandOutcome): void {
    let byName = this.tally.get(outcome);
    if (byName === undefined) this.tally.set(outcome, (byName = new Map()));
    byName.set(name, (byName.get(name) ?? 0) + 1);
  }

  addCommand(part: PlanPart, outcome: Outcome): void {
    const { c } = this;
    c.p.push(part.p);
    c.team.push(outcome.teamId);
    c.command.push(outcome.commandId);
    c.actor.push(outcome.actor);
    c.hash.push(outcome.hash);
    c.event.push(outcome.seq);
    c.seq.push(outcome.cmdSeq);
    c.code.push(outcome.code ?? 'NULL');
    this.outcomes.set(outcome.key, outcome);
  }
}
