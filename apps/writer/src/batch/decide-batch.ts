/**
 * Commands in order → a plan. Pure but for the cached teams, which it evolves as it goes: a later command of
 * the batch sees what an earlier one did. Whoever does not commit the plan drops `plan.touchedTeams`.
 */

import type { Command, CommandName } from '@chat/contracts/commands';
import { type ErrorCode, errorCatalogue } from '@chat/contracts/errors';
import { type TeamId, partitionOf } from '@chat/contracts/ids';
import { userScope } from '@chat/contracts/subjects';
import { decide } from '@chat/domain/decide';
import { type DraftEvent, type Team, evolve } from '@chat/domain/team';
import { type IntakeMessage, type Sender, decodeCommand } from '../intake/decode-command.ts';
import type { TeamCache } from '../teams/team-cache.ts';
import { type BatchPlan, type Origin, type Outcome, type PlanPart, outcomeKey } from './batch-plan.ts';

/** A command of the batch whose turn has come, and the share of the plan it goes to. */
export type PlanContext = {
  readonly plan: BatchPlan;
  readonly part: PlanPart;
  readonly teams: TeamCache;
  readonly nowMs: number;
  /** First outcome of a command decided before this batch, if known. */
  readonly known: (key: string) => Outcome | undefined;
};

/** The message cannot be processed whatever is tried; thrown so that the batch is cut at it. */
export class PoisonFault extends Error {
  readonly index: number;
  constructor(index: number, reason: string) {
    super(reason);
    this.name = 'PoisonFault';
    this.index = index;
  }
}

/** Decides message `index` of the batch. Throws PoisonFault; the plan is then unusable. */
export const decideMessage = (context: PlanContext, message: IntakeMessage, index: number): void => {
  const decoded = decodeCommand(message);
  if (!decoded.ok) throw new PoisonFault(index, decoded.reason);
  try {
    decideCommand(context, decoded.command, message.seq);
  } catch (error) {
    throw new PoisonFault(
      index,
      error instanceof Error ? `${error.name}: ${error.message}` : 'unknown fault',
    );
  }
  advance(context.part, message);
};

/** The position moves with the effect: both are committed in one transaction. */
export const advance = (part: PlanPart, { seq, mark }: IntakeMessage): void => {
  part.cmdSeq = seq;
  part.cmdMark = mark;
};

const decideCommand = (context: PlanContext, command: Command, cmdSeq: number): void => {
  const { plan, part } = context;
  const { teamId, id } = command;
  const key = outcomeKey(teamId, id);
  const first = plan.outcomes.get(key) ?? context.known(key);
  if (first) {
    const isSame = first.actor === command.actor && first.hash === command.hash;
    plan.count(command.name, isSame ? 'repeat' : 'rejected');
    if (isSame) plan.repeats.push(first);
    else addRejection(context, command, command.name, 'MSG_DUPLICATE_SEND');
    return;
  }
  const team = context.teams.get(teamId);
  const decision =
    partitionOf(teamId) === part.p
      ? decide(team, command, context)
      : ({ kind: 'rejected', code: 'TEAM_NOT_FOUND' } as const);
  plan.count(command.name, decision.kind === 'accepted' ? 'persisted' : 'rejected');
  const seq = part.next;
  const payload =
    decision.kind === 'accepted'
      ? addEvents(context, team, command, decision.events)
      : addRejection(context, command, command.name, decision.code, decision.message);
  plan.addCommand(part, {
    key,
    teamId,
    commandId: id,
    actor: command.actor,
    hash: command.hash,
    seq,
    cmdSeq,
    code: decision.kind === 'accepted' ? undefined : decision.code,
    payload,
  });
};

/** A refusal is a fact of the log, in the scope of the one who wished. Answers the encoded event. */
const addRejection = (
  { plan, part, nowMs }: PlanContext,
  origin: Origin,
  name: CommandName,
  code: ErrorCode,
  message: string = errorCatalogue[code].message,
): string => {
  const dataJson = JSON.stringify({ name, code, message });
  const scope = userScope(origin.actor);
  return plan.addEvent(part, origin, 'command.rejected', scope, nowMs, undefined, undefined, dataJson);
};

/** The final refusal of a poison command. Its id is spent, so that a repeat does not start it all again. */
export const rejectPoisoned = (
  context: PlanContext,
  sender: Sender,
  name: CommandName,
  message: IntakeMessage,
): void => {
  const cmdSeq = message.seq;
  const { teamId, id: commandId, actor, hash } = sender;
  const seq = context.part.next;
  const code = 'COMMAND_POISONED';
  const payload = addRejection(context, sender, name, code);
  const key = outcomeKey(teamId, commandId);
  context.plan.addCommand(context.part, { key, teamId, commandId, actor, hash, seq, cmdSeq, code, payload });
  advance(context.part, message);
};

/** Numbers, encodes and applies the events of one command. Answers the first, encoded. */
const addEvents = (
  context: PlanContext,
  team: Team | undefined,
  command: Command,
  events: readonly DraftEvent[],
): string => {
  const { plan, part } = context;
  let state = team;
  let first = '';
  for (const event of events) {
    const { type, scope, at, channelId, channelSeq } = event;
    const seq = part.next;
    // JSON has no raw line feed: `commit_batch` may join payloads with one.
    const dataJson = JSON.stringify(event.data);
    const payload = plan.addEvent(part, command, type, scope, at, channelId, channelSeq, dataJson);
    if (first === '') first = payload;
    if (event !== events.at(-1)) part.events.at(-1)!.hasMore = true;
    state = applyEvent(plan, state, command.teamId, event, seq);
  }
  if (state && !team) context.teams.put(state);
  return first;
};

/** `evolve`, and a note of what it touched. Used by deciding and by adopting alike. */
export const applyEvent = (
  plan: BatchPlan,
  team: Team | undefined,
  teamId: TeamId,
  event: DraftEvent,
  seq: number,
): Team => {
  plan.touchedTeams.add(teamId);
  if (event.type === 'message.sent') {
    const state = evolve(team, teamId, event, seq);
    const channel = state.channels.get(event.channelId!);
    if (channel) plan.changes.touchHead(teamId, channel);
    return state;
  }
  if (team) plan.changes.before(team, event);
  const state = evolve(team, teamId, event, seq);
  plan.changes.after(state, event);
  return state;
};
