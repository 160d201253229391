import { expect, it } from 'vitest';
import { HEADER_MSG_ID } from '@chat/contracts/streams';
import { silentLogger } from '@chat/platform/log';
import { ensureCmdStream, getMessage } from '@chat/platform/nats/streams';
import { noFaultPoints } from '../fault-points.ts';
import { commandMark } from '../intake/command-mark.ts';
import type { OpenPartition } from '../partition/open-partition.ts';
import { createWriterStreams } from '../streams/writer-streams.ts';
import { makeCommand, newTeamId } from '../testing/commands.ts';
import { type WriterRig, createRig } from '../testing/writer-rig.ts';
import { createPurge } from './purge.ts';

const WINDOW_MS = 600_000;

const sendSome = async (rig: WriterRig, count: number): Promise<void> => {
  const teamId = newTeamId(0);
  for (let i = 0; i < count; i += 1)
    await rig.send(makeCommand(teamId, 'alice', 'team.create', { name: 'x' }));
};

/** A partition that stands at command `seq`, and a purge whose clock is the test's. */
const createPurged = async (rig: WriterRig, seq: number) => {
  const { jsm } = await rig.connect('writer');
  const stored = await getMessage(jsm, 'CMD_0', { seq });
  const cmdMark = commandMark(stored!.header(HEADER_MSG_ID), stored!.storedAtMs);
  const open = { p: 0, cmdSeq: seq, cmdMark } as OpenPartition;
  let nowMs = 0;
  const purge = createPurge({
    streams: createWriterStreams(jsm, { replicas: 1 }),
    openPartitions: () => [open],
    faultPoints: noFaultPoints,
    log: silentLogger(),
    nowMs: () => nowMs,
    windowMs: WINDOW_MS,
  });
  const roundAt = (ms: number): Promise<void> => {
    nowMs = ms;
    return purge.round();
  };
  const seqs = async (): Promise<readonly number[]> => {
    const { state } = await rig.ops.jsm.streams.info('CMD_0');
    return [state.first_seq, state.last_seq];
  };
  return { roundAt, seqs };
};

it('what was committed a window ago is purged, what was not is kept', async () => {
  const rig = await createRig();
  await ensureCmdStream(rig.ops.jsm, 0);
  await sendSome(rig, 5);
  const { roundAt, seqs } = await createPurged(rig, 3);
  await roundAt(0);
  await roundAt(WINDOW_MS - 1);
  expect(await seqs()).toEqual([1, 5]);
  await roundAt(WINDOW_MS);
  expect(await seqs()).toEqual([4, 5]);
});

it('a position sampled in a stream that is no more purges nothing of the one made in its place', async () => {
  const rig = await createRig();
  await ensureCmdStream(rig.ops.jsm, 0);
  await sendSome(rig, 3);
  const { roundAt, seqs } = await createPurged(rig, 3);
  await roundAt(0);
  await rig.ops.jsm.streams.delete('CMD_0');
  await ensureCmdStream(rig.ops.jsm, 0);
  // Accepted, and not yet read by anybody.
  await sendSome(rig, 5);
  await roundAt(WINDOW_MS);
  await roundAt(2 * WINDOW_MS);
  expect(await seqs()).toEqual([1, 5]);
});
