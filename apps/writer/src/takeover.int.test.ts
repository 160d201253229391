import { expect, it, vi } from 'vitest';
import { type FaultStep, faultSteps } from './fault-points.ts';
import { type CommandMessage, makeCommand, newTeamId } from './testing/commands.ts';
import { type WriterRig, createRig, eventually } from './testing/writer-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

const MESSAGE_COUNT = 60;

const makeMessages = (teamId: ReturnType<typeof newTeamId>, channelId: string): readonly CommandMessage[] =>
  Array.from({ length: MESSAGE_COUNT }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );

const expectOnceInOrder = async (rig: WriterRig, sends: readonly CommandMessage[], p = 0): Promise<void> => {
  for (const command of sends) {
    await eventually(
      `the outcome of ${command.id}`,
      async () => (await rig.outcome(command)).kind === 'persisted',
    );
  }
  const messages = await rig.messages(p);
  expect(messages.map((message) => message.commandId)).toEqual(sends.map((command) => command.id));
  expect(messages.map((message) => message.channelSeq)).toEqual(sends.map((_, i) => i + 1));
};

const crashSteps = faultSteps.filter((step): step is Exclude<FaultStep, 'purge'> => step !== 'purge');

it.each(crashSteps)(
  'killed right after %s, the next writer finishes: each message once, in order',
  async (step) => {
    const rig = await createRig();
    const first = await rig.startWriter();
    const teamId = newTeamId(0);
    const channelId = await rig.createTeam(teamId, 'alice');
    await first.stop();
    const doomed = await rig.spawnWriter('doomed', { FAULT_CRASH_AT: `${step}:2` });
    const sends = makeMessages(teamId, channelId);
    await doomed.ready();
    // One after another while it lives: more than one batch to die in, however slow the machine.
    let count = (await rig.rows(0)).length;
    for (const command of sends) {
      await rig.send(command);
      count += 1;
      await eventually(
        'a row, or the end',
        async () => doomed.exit() !== undefined || (await rig.rows(0)).length >= count,
      );
    }
    expect(await doomed.exited).toMatchObject({ signal: 'SIGKILL' });
    await rig.startWriter({ instanceId: 'heir' });
    await expectOnceInOrder(rig, sends);
  },
);

it('killed right after a purge, the next writer goes on from the same place', async () => {
  const rig = await createRig();
  let purgeCount = 0;
  const purge = { intervalMs: 50, windowMs: 100 };
  const first = await rig.startWriter({
    purge,
    faultPoints: (step) => void (purgeCount += step === 'purge' ? 1 : 0),
  });
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const sends = makeMessages(teamId, channelId);
  for (const command of sends.slice(0, 30)) await rig.send(command);
  await rig.outcome(sends[29]!);
  await eventually('purged to the last command', async () => {
    const { state } = await rig.ops.jsm.streams.info('CMD_0');
    return purgeCount > 0 && state.messages === 0;
  });
  await first.stop();
  await rig.startWriter({ instanceId: 'heir' });
  for (const command of sends.slice(30)) await rig.send(command);
  await expectOnceInOrder(rig, sends);
});

it('a writer stopped with SIGSTOP and woken after a takeover changes nothing', async () => {
  const rig = await createRig();
  const old = await rig.spawnWriter('old');
  await old.ready();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const sends = makeMessages(teamId, channelId);
  const sending = (async () => {
    for (const command of sends) await rig.send(command);
  })();
  await eventually('some messages', async () => (await rig.rows(0)).length > 12);
  old.pause();
  await sending;
  await rig.startWriter({ instanceId: 'heir' });
  await expectOnceInOrder(rig, sends);
  const before = await rig.rows(0);
  const [row] = await rig.query<{ owner: string; owner_epoch: string }>(
    'SELECT owner, owner_epoch FROM partition',
  );
  old.resume();
  await eventually('the old one sees that it lost the lease', async () =>
    old.tail().some((line) => line.includes('lease lost') || line.includes('fenced')),
  );
  expect(await rig.consistent(0)).toEqual(before);
  expect(await rig.query('SELECT owner, owner_epoch FROM partition')).toEqual([row]);
  // It is idle, not broken: it takes over when the other one goes.
  await rig.expectPersisted(makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'after' }));
});

it('two writers share the partitions evenly; those of a killed one move within 10 s', async () => {
  const rig = await createRig({ partitionCount: 4 });
  const one = await rig.spawnWriter('one');
  await one.ready();
  const two = await rig.spawnWriter('two');
  const shares = async (): Promise<readonly (readonly [string, number])[]> => {
    const rows = await rig.query<{ owner: string; count: string }>(
      'SELECT owner, count(*) FROM partition WHERE owner IS NOT NULL GROUP BY owner ORDER BY owner',
    );
    return rows.map(({ owner, count }) => [owner.split('.')[0]!, Number(count)] as const);
  };
  await eventually('two partitions each', async () => {
    const found = await shares();
    return found.length === 2 && found.every(([, count]) => count === 2) ? true : undefined;
  });
  const teams = await Promise.all(
    [0, 1, 2, 3].map(async (p) => {
      const teamId = newTeamId(p);
      return { p, teamId, channelId: await rig.createTeam(teamId, 'alice') };
    }),
  );
  one.kill('SIGKILL');
  const killedAtMs = performance.now();
  const sends = teams.map(({ teamId, channelId }) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'who writes now?' }),
  );
  for (const command of sends) await rig.send(command);
  await Promise.all(
    sends.map((command) =>
      eventually(
        `outcome of ${command.subject}`,
        async () => (await rig.outcome(command, 500)).kind === 'persisted',
      ),
    ),
  );
  expect(performance.now() - killedAtMs).toBeLessThan(10_000);
  expect(await shares()).toEqual([['two', 4]]);
  for (const { p } of teams) expect(await rig.messages(p)).toHaveLength(1);
  two.kill('SIGTERM');
  expect(await two.exited).toMatchObject({ code: 0 });
  expect(await shares()).toEqual([]);
});
