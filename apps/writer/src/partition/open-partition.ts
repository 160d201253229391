/**
 * Opening a partition: everything that must hold before its first commit on this connection.
 *
 *   row (lease still ours?) → divergence check → [adopt] → relay what is behind → verify the position in CMD → intake
 *
 * Each step can be cut short by a crash or a lost lease and is simply done again.
 */

import { cmdStream } from '@chat/contracts/streams';
import type { Clock } from '@chat/platform/clock';
import { FencedFault, StoppedFault, reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { classify } from '@chat/platform/postgres/sqlstate';
import { adopt, NotAdoptableFault } from '../divergence/adopt.ts';
import { checkDivergence } from '../divergence/check-divergence.ts';
import type { CommandMark } from '../intake/command-mark.ts';
import type { Intake } from '../intake/intake.ts';
import { type Position, verifyPosition } from '../intake/verify-position.ts';
import type { Relay } from '../relay/relay.ts';
import type { WriterStreams } from '../streams/writer-streams.ts';
import type { PgSession } from '../postgres/session.ts';
import { type PartitionRow, countOpening, markHalted, readPartitionRow } from './partition-row.ts';

/** Opened this often at one position: some command there may kill its writer. Then one at a time, counted. */
export const CAREFUL_AFTER_OPENS = 3;
export const CAREFUL_COUNT = 512;

/** The stream and the database contradict each other: nothing is written until an operator has chosen. */
export class HaltedFault extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'HaltedFault';
  }
}

/** An owned partition that takes commands. Position and numbers are those of the last commit. */
export type OpenPartition = {
  readonly p: number;
  readonly ownerEpoch: number;
  readonly epoch: string;
  nextId: number;
  cmdSeq: number;
  cmdMark: CommandMark;
  /** Commands still to be taken one at a time. */
  carefulCount: number;
  readonly intake: Intake;
  readonly relay: Relay;
  /** Nothing of it may be used any more: another one may be open under the same number. */
  isClosed: boolean;
};

export type OpenDeps = {
  readonly session: PgSession;
  readonly streams: WriterStreams;
  readonly owner: string;
  readonly leaseTtlMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly createRelay: (row: PartitionRow, committedSeq: number, streamSeq: number) => Relay;
  readonly createIntake: (row: PartitionRow, position: Position) => Intake;
};

export const openPartition = async (
  deps: OpenDeps,
  p: number,
  ownerEpoch: number,
  signal: AbortSignal,
): Promise<OpenPartition> => {
  const { session, streams } = deps;
  const generation = session.generation();
  const stillSame = (): void => {
    if (signal.aborted) throw new StoppedFault(`opening partition ${p}`);
    if (session.generation() !== generation)
      throw new FencedFault('the database connection changed meanwhile');
  };
  const row = await readPartitionRow(session.query, p, deps.owner, ownerEpoch);
  await streams.ensureCmd(p);
  const { nextId, streamSeq } = await reconcile(deps, row);
  stillSame();
  const relay = deps.createRelay(row, nextId - 1, streamSeq);
  signal.addEventListener('abort', () => void relay.stop(), { once: true });
  try {
    await relay.caughtUp();
    const committed: Position = { seq: row.cmdSeq, mark: row.cmdMark };
    const verdict = await verifyPosition(streams, p, committed);
    stillSame();
    if (verdict === 'lost')
      deps.log.warn({ partition: p, cmdSeq: row.cmdSeq }, 'commands are read again from the first');
    const position = verdict === 'lost' ? { seq: 0, mark: '' } : committed;
    const commands = await streams.state(cmdStream(p));
    const isWaiting = commands.exists && commands.lastSeq > position.seq;
    const openCount = await countOpening(session.query, row, isWaiting);
    stillSame();
    const intake = deps.createIntake(row, position);
    await intake.start();
    return {
      p,
      ownerEpoch,
      epoch: row.epoch,
      nextId,
      cmdSeq: position.seq,
      cmdMark: position.mark,
      carefulCount: openCount > CAREFUL_AFTER_OPENS ? CAREFUL_COUNT : 0,
      intake,
      relay,
      isClosed: false,
    };
  } catch (error) {
    await relay.stop();
    throw error;
  }
};

/** Compares stream and database; throws HaltedFault (and marks the row) when they contradict each other. */
const reconcile = async (
  deps: OpenDeps,
  row: PartitionRow,
): Promise<{ readonly nextId: number; readonly streamSeq: number }> => {
  const { query } = deps.session;
  const verdict = await checkDivergence({ ...deps, query }, row);
  switch (verdict.kind) {
    case 'equal':
    case 'behind':
      await markHalted(query, row.p, row.ownerEpoch);
      return { nextId: row.nextId, streamSeq: verdict.kind === 'equal' ? row.nextId - 1 : verdict.streamSeq };
    case 'ahead':
      try {
        await markHalted(query, row.p, row.ownerEpoch);
        const nextId = await adopt({ ...deps, query }, row, verdict.streamSeq);
        return { nextId, streamSeq: nextId - 1 };
      } catch (error) {
        if (!(error instanceof NotAdoptableFault) && classify(error) !== 'data') throw error;
        return halt(deps, row, reasonOf(error));
      }
    case 'diverged':
      return halt(deps, row, verdict.reason);
  }
};

const halt = async (deps: OpenDeps, row: PartitionRow, reason: string): Promise<never> => {
  await markHalted(deps.session.query, row.p, row.ownerEpoch, reason);
  throw new HaltedFault(reason);
};
