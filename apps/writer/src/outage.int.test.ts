import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createMetrics } from '@chat/platform/metrics';
import { startPostgres } from '@chat/testkit/servers/postgres-server';
import { type CommandMessage, makeCommand, newTeamId } from './testing/commands.ts';
import { type WriterRig, createRig, eventually } from './testing/writer-rig.ts';

vi.setConfig({ testTimeout: 90_000 });

const ownPostgres = async () => {
  const dir = await mkdtemp(join(tmpdir(), 'chat-writer-pg-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const postgres = await startPostgres({ dataDir: dir });
  onTestFinished(() => postgres[Symbol.asyncDispose]());
  return { postgres, databaseUrl: await postgres.createDatabase('chat') };
};

/** Sends as a client does: the same again until its outcome is told. */
const sendUntilTold = async (rig: WriterRig, command: CommandMessage): Promise<void> => {
  await eventually(`outcome of ${command.id}`, async () => {
    await rig.send(command);
    const reply = await rig.outcome(command, 1_000);
    return reply.kind === 'persisted';
  });
};

const expectEachOnce = async (rig: WriterRig, sends: readonly CommandMessage[]): Promise<void> => {
  const messages = await rig.messages(0);
  expect([...messages.map((message) => message.commandId)].sort()).toEqual(
    sends.map((command) => command.id).sort(),
  );
  expect(messages.map((message) => message.channelSeq)).toEqual(sends.map((_, i) => i + 1));
};

it('PostgreSQL killed under load: the writer waits, comes back by itself, and dead-letters nothing', async () => {
  const { postgres, databaseUrl } = await ownPostgres();
  const rig = await createRig({ databaseUrl });
  const metrics = createMetrics();
  const breakers = (): Promise<string> => metrics.registry.getSingleMetricAsString('chat_breaker_state');
  const writer = await rig.startWriter({ metrics });
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const sends = Array.from({ length: 400 }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );
  for (const [i, command] of sends.entries()) {
    await rig.send(command);
    if (i === 150) await postgres.kill();
    if (i === 250) {
      await eventually('readiness says why', async () => !writer.checks.postgres!().ok);
      await eventually('the breaker opens', async () => (await breakers()).includes('"writer-lease"} 2'));
      await postgres.start();
    }
  }
  await sendUntilTold(rig, sends.at(-1)!);
  await expectEachOnce(rig, sends);
  expect((await rig.ops.jsm.streams.info('DLQ_CMD')).state.messages).toBe(0);
  await eventually('ready again', async () => Object.values(writer.checks).every((check) => check().ok));
  await eventually('the breakers close', async () => !/ [12]$/m.test(await breakers()));
});

it('PostgreSQL frozen: the writer gives the connection up and is back once it thaws', async () => {
  const { postgres, databaseUrl } = await ownPostgres();
  const rig = await createRig({ databaseUrl });
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  postgres.pause();
  const sends = Array.from({ length: 20 }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );
  for (const command of sends) await rig.send(command);
  await eventually(
    'readiness says why',
    async () => !writer.checks.postgres!().ok || !writer.checks.lease!().ok,
  );
  postgres.resume();
  for (const command of sends) await sendUntilTold(rig, command);
  await expectEachOnce(rig, sends);
});

it('NATS killed under load: every accepted command ends once, live again by itself', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const sends = Array.from({ length: 400 }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );
  for (const [i, command] of sends.entries()) {
    await rig.send(command);
    if (i === 200) {
      await rig.nats.kill();
      await rig.nats.start();
    }
  }
  await sendUntilTold(rig, sends.at(-1)!);
  await expectEachOnce(rig, sends);
  await eventually('ready again', async () => Object.values(writer.checks).every((check) => check().ok));
});
