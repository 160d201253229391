import { expect, it, onTestFinished, vi } from 'vitest';
import { ensureCmdStream, getMessage } from '@chat/platform/nats/streams';
import { silentLogger } from '@chat/platform/log';
import { createOrderedFeed } from '@chat/platform/nats/ordered-feed';
import { commandMark } from './intake/command-mark.ts';
import { type IntakeMessage } from './intake/decode-command.ts';
import { createIntake } from './intake/intake.ts';
import { verifyPosition } from './intake/verify-position.ts';
import { createWriterStreams } from './streams/writer-streams.ts';
import { makeCommand, newTeamId } from './testing/commands.ts';
import { createRig, eventually } from './testing/writer-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

it('a batch that ends where the lost command stream stood is relayed as any other', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  await rig.expectPersisted(makeCommand(teamId, 'alice', 'team.create', { name: 'Team' }));
  await rig.ops.jsm.streams.delete('CMD_0');
  // Number 1 again, which is where the writer stands: it reads from the first and ends at its old position.
  const channel = makeCommand(teamId, 'alice', 'channel.create', { kind: 'public', name: 'general' });
  expect(await rig.send(channel)).toMatchObject({ seq: 1 });
  expect(await rig.outcome(channel)).toMatchObject({ kind: 'persisted' });
  expect((await rig.consistent(0)).at(-1)!.element.commandId).toBe(channel.id);
});

it('commands that came in place of lost ones are read, also when newer ones arrive before the position is verified', async () => {
  const rig = await createRig();
  const { nc, jsm } = await rig.connect('writer');
  const log = silentLogger();
  const streams = createWriterStreams(jsm, { replicas: 1 });
  let isAnswering = true;
  let arrivedSeq = 0;
  const intake = createIntake({
    p: 0,
    position: { seq: 0, mark: '' },
    // As while the connection is down: the question is lost, and asked again later.
    verify: async (position) => {
      if (!isAnswering) throw new Error('no answer');
      return verifyPosition(streams, 0, position);
    },
    createFeed: ({ onMessage, ...options }) =>
      createOrderedFeed({
        nc,
        jsm,
        namePrefix: 'writer_test',
        log,
        ...options,
        onMessage: (message) => {
          onMessage(message);
          arrivedSeq = message.seq;
        },
      }),
    wake: () => undefined,
    log,
  });
  onTestFinished(() => intake.stop());
  const sendSome = async (count: number): Promise<string[]> => {
    const commands = Array.from({ length: count }, () =>
      makeCommand(newTeamId(0), 'alice', 'team.create', { name: 'Team' }),
    );
    for (const command of commands) await rig.send(command);
    return commands.map((command) => command.msgId);
  };
  const takeAll = async (count: number): Promise<string[]> => {
    const taken: IntakeMessage[] = [];
    await eventually(`${count} commands`, async () => {
      intake.take(count, Number.MAX_SAFE_INTEGER, (message) => taken.push(message));
      return taken.length > 0 && arrivedSeq >= count;
    });
    return taken.map((message) => message.msgId());
  };

  await ensureCmdStream(jsm, 0);
  await intake.start();
  const lost = await sendSome(3);
  await eventually('all are there', async () => intake.waitingCount() === lost.length);
  expect(await takeAll(lost.length)).toEqual(lost);

  isAnswering = false;
  await jsm.streams.delete('CMD_0');
  await ensureCmdStream(jsm, 0);
  const instead = await sendSome(5);
  await eventually('the newest has arrived', async () => arrivedSeq === instead.length);
  isAnswering = true;
  await eventually('verified', async () => intake.waitingCount() > 0);
  await eventually('read to the end', async () => arrivedSeq === instead.length);
  expect(await takeAll(instead.length)).toEqual(instead);
});

it('a command stream made anew after its position was verified and before its consumer was there is read from the first', async () => {
  const rig = await createRig();
  const { nc, jsm } = await rig.connect('writer');
  const log = silentLogger();
  const streams = createWriterStreams(jsm, { replicas: 1 });
  const send = async (count: number): Promise<string[]> => {
    const commands = Array.from({ length: count }, () =>
      makeCommand(newTeamId(0), 'alice', 'team.create', { name: 'Team' }),
    );
    for (const command of commands) await rig.send(command);
    return commands.map((command) => command.msgId);
  };
  await ensureCmdStream(jsm, 0);
  await send(3);
  const stored = await getMessage(jsm, 'CMD_0', { seq: 3 });
  const position = { seq: 3, mark: commandMark(stored!.header('Nats-Msg-Id'), stored!.storedAtMs) };
  expect(await verifyPosition(streams, 0, position)).toBe('same');
  await jsm.streams.delete('CMD_0');
  await ensureCmdStream(jsm, 0);
  const instead = await send(5);

  const taken: string[] = [];
  const intake = createIntake({
    p: 0,
    position,
    verify: (at) => verifyPosition(streams, 0, at),
    createFeed: (options) => createOrderedFeed({ nc, jsm, namePrefix: 'writer_test', log, ...options }),
    wake: () => undefined,
    log,
  });
  onTestFinished(() => intake.stop());
  await intake.start();
  await eventually('the last of them', async () => {
    intake.take(instead.length, Number.MAX_SAFE_INTEGER, (message) => taken.push(message.msgId()));
    return taken.at(-1) === instead.at(-1);
  });
  expect(taken).toEqual(instead);
});
