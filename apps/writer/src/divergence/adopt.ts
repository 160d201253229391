/**
 * Imports events that the stream holds and the database has lost (it came back older): into event_log, command
 * and the write state, by the same `evolve` and the same `commit_batch` as a batch, ADOPT_CHUNK_COUNT events a
 * transaction. A crash between two transactions goes on where it stopped. The position in CMD stays: commands
 * after it are read again and found decided.
 *
 * A command is adopted whole or not at all: a stream that ends in the middle of one (its writer died while it relayed) is
 * not adopted, since its other events went with the database, and what its id was given would be half of it for ever.
 */

import type { EventElement } from '@chat/contracts/events';
import { type TeamId, parseTeamId } from '@chat/contracts/ids';
import { type Scope, parseEvtSubject } from '@chat/contracts/subjects';
import { HEADER_MORE_OF_COMMAND, evtStream } from '@chat/contracts/streams';
import { upcast } from '@chat/contracts/upcast';
import { Fault } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import type { DraftEvent } from '@chat/domain/team';
import { BatchPlan, type PlanPart, outcomeKey } from '../batch/batch-plan.ts';
import { commitBatchStatement, commitBatchValues } from '../batch/commit-batch.ts';
import { applyEvent } from '../batch/decide-batch.ts';
import { lookupOutcomes } from '../outcome/lookup-outcomes.ts';
import type { PartitionRow, Query } from '../partition/partition-row.ts';
import type { WriterStreams } from '../streams/writer-streams.ts';
import { loadTeams } from '../teams/load-teams.ts';
import { createTeamCache } from '../teams/team-cache.ts';

export const ADOPT_CHUNK_COUNT = 128;

export type AdoptDeps = {
  readonly query: Query;
  readonly streams: WriterStreams;
  readonly owner: string;
  readonly leaseTtlMs: number;
  readonly log: Logger;
};

type StreamEvent = {
  readonly seq: number;
  readonly teamId: TeamId;
  readonly scope: Scope;
  /** As it is stored: of any version. */
  readonly element: EventElement;
  readonly payload: string;
};

/** The stream holds something that no writer would have written: nothing of the chunk is imported. */
export class NotAdoptableFault extends Fault {
  constructor(message: string) {
    super('NOT_ADOPTABLE', message);
  }
}

/** Adopts up to `streamSeq` and answers the new next_id. */
export const adopt = async (deps: AdoptDeps, row: PartitionRow, streamSeq: number): Promise<number> => {
  let nextId = row.nextId;
  const last = await deps.streams.message(evtStream(row.p), streamSeq);
  if (last && last.header(HEADER_MORE_OF_COMMAND) !== '')
    throw new NotAdoptableFault(
      `the stream ends with event ${streamSeq}, in the middle of a command: discard`,
    );
  while (nextId <= streamSeq) {
    const to = Math.min(streamSeq, nextId + ADOPT_CHUNK_COUNT - 1);
    await adoptChunk(deps, row, nextId, await readChunk(deps.streams, row.p, nextId, to));
    deps.log.warn({ partition: row.p, from: nextId, to }, 'adopted events that the database had lost');
    nextId = to + 1;
  }
  return nextId;
};

const readChunk = (streams: WriterStreams, p: number, from: number, to: number): Promise<StreamEvent[]> =>
  Promise.all(
    Array.from({ length: to - from + 1 }, async (_, i) => {
      const seq = from + i;
      const message = await streams.message(evtStream(p), seq);
      if (!message) throw new NotAdoptableFault(`event ${seq} is missing within the stream`);
      return parseStreamEvent(p, seq, message.subject, message.data);
    }),
  );

const parseStreamEvent = (p: number, seq: number, subject: string, data: Uint8Array): StreamEvent => {
  const address = parseEvtSubject(subject);
  const payload = Buffer.from(data).toString();
  let element: EventElement | undefined;
  try {
    element = JSON.parse(payload) as EventElement;
  } catch {
    element = undefined;
  }
  if (!address || address.partition !== p || !parseTeamId(address.teamId) || element?.seq !== seq) {
    throw new NotAdoptableFault(`message ${seq} of the stream is not event ${seq} of partition ${p}`);
  }
  return { seq, teamId: address.teamId, scope: address.scope, element, payload };
};

const adoptChunk = async (
  deps: AdoptDeps,
  row: PartitionRow,
  nextId: number,
  events: readonly StreamEvent[],
): Promise<void> => {
  const plan = new BatchPlan();
  const { p, ownerEpoch, cmdSeq, cmdMark } = row;
  const part: PlanPart = {
    p,
    ownerEpoch,
    expected: nextId,
    next: nextId,
    cmdSeq,
    cmdMark: () => cmdMark,
    events: [],
  };
  plan.parts.set(p, part);
  const teams = createTeamCache();
  await loadTeams(deps.query, teams, new Set(events.map((event) => event.teamId)));
  // The first events may be the rest of a command whose beginning is in the log already.
  const first = events[0];
  const begun = first
    ? await lookupOutcomes(deps.query, [{ teamId: first.teamId, commandId: first.element.commandId }])
    : [];
  const known = new Set(begun.map((outcome) => outcome.key));
  for (const event of events) {
    plan.addStored(part, event.teamId, event.scope, event.element, event.payload);
    addCommandOnce(plan, part, known, event);
    evolveStored(plan, teams, event);
  }
  const values = commitBatchValues(plan, deps.owner, deps.leaseTtlMs);
  await deps.query({ ...commitBatchStatement, values });
};

const addCommandOnce = (
  plan: BatchPlan,
  part: PlanPart,
  known: Set<string>,
  { seq, teamId, element, payload }: StreamEvent,
): void => {
  const { commandId, actor, hash } = element;
  const key = outcomeKey(teamId, commandId);
  const code = element.type === 'command.rejected' ? element.data.code : undefined;
  // The misuse of a spent id is a fact, but not an outcome of that id.
  if (known.has(key) || code === 'MSG_DUPLICATE_SEND') return;
  known.add(key);
  plan.addCommand(part, { key, teamId, commandId, actor, hash, seq, cmdSeq: 0, code, payload });
};

const evolveStored = (
  plan: BatchPlan,
  teams: ReturnType<typeof createTeamCache>,
  { seq, teamId, scope, element }: StreamEvent,
): void => {
  const read = upcast(element);
  if (read.kind !== 'read')
    throw new NotAdoptableFault(`event ${seq} is of a type or version that this writer does not know`);
  if (read.event.type === 'command.rejected') return;
  const { type, data, at, channelId, channelSeq } = read.event;
  const draft = {
    type,
    scope,
    data,
    at,
    ...(channelId === undefined ? {} : { channelId }),
    ...(channelSeq === undefined ? {} : { channelSeq }),
  } as DraftEvent;
  try {
    const before = teams.get(teamId);
    const after = applyEvent(plan, before, teamId, draft, seq);
    if (!before) teams.put(after);
  } catch (error) {
    throw new NotAdoptableFault(`event ${seq} cannot follow the state before it: ${String(error)}`);
  }
};
