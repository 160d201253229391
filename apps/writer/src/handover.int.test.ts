import pg from 'pg';
import { expect, it, onTestFinished, vi } from 'vitest';
import { makeCommand, newTeamId } from './testing/commands.ts';
import { createRig, eventually } from './testing/writer-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

it('a team that was being read while its partition was let go is read anew when the partition comes back', async () => {
  const rig = await createRig();
  const before = await rig.startWriter({ instanceId: 'w0' });
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const say = (text: string) => makeCommand(teamId, 'alice', 'message.send', { channelId, text });
  const sends = ['one', 'two', 'three', 'four'].map(say);
  await rig.expectPersisted(sends[0]!);
  await before.stop();
  const ownerIs = (instance: string): Promise<true> =>
    eventually(`${instance} owns the partition`, async () => {
      const [row] = await rig.query<{ owner: string | null }>('SELECT owner FROM partition');
      return row?.owner?.startsWith(`${instance}.`) === true;
    });
  const readersCount = async (condition: string): Promise<number> =>
    (
      await rig.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
         AND application_name = 'writer-commit w2' AND query LIKE '%load_teams%' AND ${condition}`,
      )
    ).length;

  // The later one knows no team yet; what it reads of this one is held up.
  await rig.startWriter({ instanceId: 'w2' });
  await ownerIs('w2');
  const locker = new pg.Client({ connectionString: rig.databaseUrl });
  await locker.connect();
  onTestFinished(() => locker.end());
  await locker.query('BEGIN; LOCK TABLE team IN ACCESS EXCLUSIVE MODE');
  await rig.send(sends[1]!);
  await eventually(
    'it waits for the team',
    async () => (await readersCount(`wait_event_type = 'Lock'`)) === 1,
  );
  // The first by name gets the only partition, and writes on.
  const first = await rig.startWriter({ instanceId: 'w1' });
  await ownerIs('w1');
  await locker.query('COMMIT');
  await eventually('the held-up read has ended', async () => (await readersCount(`state = 'active'`)) === 0);
  await rig.outcome(sends[1]!);
  await rig.expectPersisted(sends[2]!);
  await first.stop();
  await ownerIs('w2');
  await rig.expectPersisted(sends[3]!);
  const messages = await rig.messages(0);
  expect(messages.map((message) => message.commandId)).toEqual(sends.map((command) => command.id));
  expect(messages.map((message) => message.channelSeq)).toEqual([1, 2, 3, 4]);
});
