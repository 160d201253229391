import { expect, it, onTestFinished, vi } from 'vitest';
import { parseUserId } from '@chat/contracts/ids';
import { createWindowedPublisher } from '@chat/platform/nats/publisher';
import { msgIdHeader } from '@chat/platform/nats/raw-headers';
import { INTAKE_MAX_COUNT } from './intake/intake.ts';
import { makeCommand, newId, newTeamId } from './testing/commands.ts';
import { createRig, eventually } from './testing/writer-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

it('a message becomes one row and one stream message under the same number, in order', async () => {
  const rig = await createRig({ partitionCount: 2 });
  await rig.startWriter();
  const teamId = newTeamId(1);
  const channelId = await rig.createTeam(teamId, 'alice', ['bob']);
  const sends = Array.from({ length: 300 }, (_, i) =>
    makeCommand(teamId, i % 2 ? 'alice' : 'bob', 'message.send', { channelId, text: `message ${i}` }),
  );
  for (const command of sends) await rig.send(command);
  await rig.outcome(sends.at(-1)!);
  const messages = await rig.messages(1);
  expect(messages.map((message) => message.commandId)).toEqual(sends.map((command) => command.id));
  expect(messages.map((message) => message.channelSeq)).toEqual(sends.map((_, i) => i + 1));
  expect(messages.every((message, i) => i === 0 || message.at >= messages[i - 1]!.at)).toBe(true);
});

it('a refused command is an event for its sender alone, and its outcome is told', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const command = makeCommand(teamId, 'mallory', 'message.send', { channelId, text: 'let me in' });
  expect(await rig.perform(command)).toMatchObject({ kind: 'rejected', code: 'TEAM_NOT_FOUND' });
  const last = (await rig.consistent(0)).at(-1)!;
  expect(last.scope).toBe('u_mallory');
  expect(last.element).toMatchObject({
    type: 'command.rejected',
    actor: 'mallory',
    commandId: command.id,
    hash: command.hash,
    data: { name: 'message.send', code: 'TEAM_NOT_FOUND' },
  });
});

it('a team that is of another partition is refused, not written', async () => {
  const rig = await createRig({ partitionCount: 2 });
  await rig.startWriter();
  const foreign = makeCommand(newTeamId(1), 'alice', 'team.create', { name: 'Stray' });
  const stray = { ...foreign, subject: foreign.subject.replace('cmd.1.', 'cmd.0.') };
  await rig.send(stray);
  const row = await eventually('the refusal', async () => (await rig.consistent(0))[0]);
  expect(row.element).toMatchObject({
    type: 'command.rejected',
    data: { code: 'TEAM_NOT_FOUND' },
  });
  expect(await rig.query('SELECT 1 FROM team')).toEqual([]);
});

it('50 sends of one id at once make one message, and all are told the same outcome', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const command = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'once' });
  // Different Msg-Ids let every one of them past the broker's own window.
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      await rig.send({ ...command, msgId: `${command.msgId}.${i}` });
      return rig.outcome(command);
    }),
  );
  expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
  expect(outcomes[0]).toMatchObject({
    kind: 'persisted',
    event: { commandId: command.id, data: { text: 'once' } },
  });
  expect(await rig.messages(0)).toHaveLength(1);
});

it('the same id with another body or sender is refused for that sender, and the first stays', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice', ['bob']);
  const first = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'one' });
  const otherBody = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'two' }, first.id);
  const otherSender = makeCommand(teamId, 'bob', 'message.send', { channelId, text: 'one' }, first.id);
  await rig.expectPersisted(first);
  for (const misuse of [otherBody, otherSender]) {
    expect(await rig.perform(misuse)).toMatchObject({ kind: 'rejected', code: 'MSG_DUPLICATE_SEND' });
  }
  // The misuse is told by the first's outcome, which may be before its own rejection is written.
  const rejections = async () =>
    (await rig.consistent(0))
      .filter((row) => row.element.type === 'command.rejected')
      .map((row) => [row.scope, row.element.hash]);
  await expect.poll(rejections, { timeout: 20_000 }).toEqual([
    ['u_alice', otherBody.hash],
    ['u_bob', otherSender.hash],
  ]);
  expect(await rig.outcome(first)).toMatchObject({ kind: 'persisted' });
  expect(await rig.messages(0)).toHaveLength(1);
});

it('a repeat is told the first outcome after a restart and after the broker has forgotten', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const command = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'once' });
  const firstAck = await rig.send(command);
  const first = await rig.outcome(command);
  const refused = makeCommand(teamId, 'alice', 'message.send', { channelId: newId(), text: 'nowhere' });
  const firstRefusal = await rig.perform(refused);
  await writer.stop();
  await rig.ops.jsm.streams.delete('CMD_0');
  await rig.startWriter({ instanceId: 'w2' });
  const again = await rig.send(command);
  expect(again.duplicate).toBe(false);
  await rig.send(refused);
  expect(await rig.outcome(refused)).toEqual(firstRefusal);
  expect(await rig.outcome(command)).toEqual(first);
  expect(first).toMatchObject({ kind: 'persisted', cmdSeq: firstAck.seq });
  // Something new behind them shows that both were gone through.
  await rig.expectPersisted(makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'next' }));
  expect(await rig.messages(0)).toHaveLength(2);
});

it('an outcome that is not there yet is waited for, bounded', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  await rig.createTeam(teamId, 'alice');
  const never = makeCommand(teamId, 'alice', 'message.send', { channelId: newId(), text: 'x' });
  expect(await rig.outcome(never, 100)).toEqual({ kind: 'pending' });
});

it('write state follows the events: what a fresh writer loads decides as the old one did', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice', ['bob', 'NULL']);
  const direct = makeCommand(teamId, 'alice', 'channel.create', { kind: 'direct', memberIds: ['bob'] });
  await rig.expectPersisted(direct);
  await rig.expectPersisted(makeCommand(teamId, 'NULL', 'message.send', { channelId, text: 'I am NULL' }));
  await rig.expectPersisted(makeCommand(teamId, 'bob', 'read.mark', { channelId, channelSeq: 1 }));
  await rig.expectPersisted(makeCommand(teamId, 'NULL', 'channel.leave', { channelId }));
  await writer.stop();
  await rig.startWriter({ instanceId: 'w2' });
  const verdict = async (actor: string, name: never, data: unknown): Promise<string> => {
    const reply = await rig.perform(makeCommand(teamId, actor, name, data));
    return reply.kind === 'rejected' ? reply.code : reply.kind;
  };
  expect(parseUserId('NULL')).toBe('NULL');
  expect(await verdict('NULL', 'message.send' as never, { channelId, text: 'x' })).toBe(
    'MSG_CHANNEL_NOT_FOUND',
  );
  expect(await verdict('bob', 'read.mark' as never, { channelId, channelSeq: 1 })).toBe('READ_MARK_STALE');
  expect(await verdict('bob', 'channel.create' as never, { kind: 'direct', memberIds: ['alice'] })).toBe(
    'CHANNEL_DIRECT_EXISTS',
  );
  expect(await verdict('bob', 'channel.create' as never, { kind: 'public', name: 'GENERAL' })).toBe(
    'CHANNEL_NAME_TAKEN',
  );
  expect(await verdict('alice', 'member.remove' as never, { userId: 'bob' })).toBe('persisted');
  expect(await verdict('alice', 'member.add' as never, { userId: 'bob' })).toBe('persisted');
  expect(await verdict('bob', 'message.send' as never, { channelId, text: 'back?' })).toBe(
    'MSG_CHANNEL_NOT_FOUND',
  );
  expect(await verdict('bob', 'channel.create' as never, { kind: 'direct', memberIds: ['alice'] })).toBe(
    'persisted',
  );
  await rig.consistent(0);
});

it('a backlog of more than the intake holds is worked off in order: the feed pauses, nothing is dropped', async () => {
  const rig = await createRig();
  const first = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  await first.stop();
  const count = INTAKE_MAX_COUNT * 2 + 1_000;
  const publisher = createWindowedPublisher({
    nc: rig.gateway.nc,
    inboxPrefix: '_INBOX_gateway',
    maxInFlight: count,
    timeoutMs: 30_000,
  });
  onTestFinished(() => publisher.close());
  let lastSeq = 0;
  const sends = Array.from({ length: count }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );
  await Promise.all(
    sends.map(
      ({ subject, body, msgId }) =>
        new Promise<void>((resolve, reject) => {
          publisher.publish(subject, Buffer.from(body), msgIdHeader(msgId), (result) => {
            if (result.kind !== 'ok') return reject(new Error(result.kind));
            lastSeq = Math.max(lastSeq, result.seq);
            resolve();
          });
        }),
    ),
  );
  await rig.startWriter({ instanceId: 'w2' });
  await eventually('all committed', async () => {
    const [row] = await rig.query<{ cmd_seq: string }>('SELECT cmd_seq FROM partition');
    return Number(row!.cmd_seq) === lastSeq;
  });
  const log = (await rig.rows(0)).filter((row) => row.element.type === 'message.sent');
  expect(log.map((row) => row.element.commandId)).toEqual(sends.map((command) => command.id));
  expect(log.map((row) => row.element.channelSeq)).toEqual(sends.map((_, i) => i + 1));
  const last = log.at(-1)!.id;
  await eventually(
    'all relayed',
    async () => (await rig.ops.jsm.streams.info('EVT_0')).state.last_seq === last,
  );
});
