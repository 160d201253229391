import { expect, it, vi } from 'vitest';
import { ensureCmdStream } from '@chat/platform/nats/streams';
import { makeCommand, newTeamId } from './testing/commands.ts';
import { type WriterRig, createRig, eventually } from './testing/writer-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

const deadLetters = async (
  rig: WriterRig,
): Promise<readonly { seq: string; reason: string; body: string }[]> => {
  const { state } = await rig.ops.jsm.streams.info('DLQ_CMD');
  const found = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
    const message = await rig.ops.jsm.streams.getMessage('DLQ_CMD', { seq });
    const header = (name: string): string => message?.header?.get(name) ?? '';
    found.push({
      seq: header('Chat-Seq'),
      reason: header('Chat-Reason'),
      body: Buffer.from(message!.data).toString(),
    });
  }
  return found;
};

it('a command that the database refuses is found among good ones, refused for its sender, and stops nobody', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const sends = Array.from({ length: 60 }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: i === 37 ? 'poison' : `message ${i}` }),
  );
  await rig.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.payload LIKE '%"text":"poison"%' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22023'; END IF; RETURN NEW; END $$`);
  await rig.query('CREATE TRIGGER refuse BEFORE INSERT ON event_log FOR EACH ROW EXECUTE FUNCTION refuse()');
  for (const command of sends) void rig.send(command);
  const outcomes = await Promise.all(sends.map((command) => rig.outcome(command)));
  expect(outcomes[37]).toMatchObject({ kind: 'rejected', code: 'COMMAND_POISONED' });
  expect(outcomes.filter((outcome) => outcome.kind === 'persisted')).toHaveLength(59);
  expect(await rig.messages(0)).toHaveLength(59);
  const rejection = (await rig.consistent(0)).find((row) => row.element.type === 'command.rejected');
  expect(rejection).toMatchObject({ scope: 'u_alice', element: { commandId: sends[37]!.id } });
  expect((await deadLetters(rig)).map((letter) => letter.body)).toEqual([sends[37]!.body]);
  expect(await rig.query('SELECT attempts FROM poison')).toEqual([{ attempts: 3 }]);
  // Its id is spent: a repeat is told the same.
  await rig.send({ ...sends[37]!, msgId: `${sends[37]!.msgId}.again` });
  expect(await rig.outcome(sends[37]!)).toMatchObject({ kind: 'rejected', code: 'COMMAND_POISONED' });
});

it.each([
  ['not JSON', '{'],
  ['another version', '{"v":2}'],
  ['no object', '7'],
  ['not UTF-8', Buffer.from([0xff, 0xfe, 0x00])],
  ['a shape that no gateway sends', '{"v":1,"id":"x"}'],
])(
  'a body that is %s goes to the dead letters; its sender is told when the Msg-Id names one',
  async (_, body) => {
    const rig = await createRig();
    await rig.startWriter();
    const teamId = newTeamId(0);
    const channelId = await rig.createTeam(teamId, 'alice');
    const broken = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'x' });
    await rig.gateway.js.publish(broken.subject, body, { msgID: broken.msgId });
    await rig.gateway.js.publish(broken.subject, body, { msgID: 'nobody' });
    await rig.gateway.js.publish('cmd.0.nonsense', body);
    await rig.expectPersisted(makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'next' }));
    expect(await rig.outcome(broken)).toMatchObject({ kind: 'rejected', code: 'COMMAND_POISONED' });
    const rejections = (await rig.consistent(0)).filter((row) => row.element.type === 'command.rejected');
    expect(rejections.map((row) => row.element.commandId)).toEqual([broken.id]);
    expect(await deadLetters(rig)).toHaveLength(3);
  },
);

it('a command that ends its writer every time is set aside unread, and the partition lives on', async () => {
  const rig = await createRig();
  const first = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  await first.stop();
  const killer = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'kill' });
  const next = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'next' });
  await rig.send(killer);
  // The position was opened before and nothing came of it; the attempts of three dead writers are in the table.
  const [{ cmd_seq }] = (await rig.query<{ cmd_seq: string }>('SELECT cmd_seq FROM partition')) as [
    { cmd_seq: string },
  ];
  await rig.query('UPDATE partition SET open_cmd_seq = cmd_seq, open_count = 3');
  await rig.query('INSERT INTO poison (p, cmd_seq, attempts, reason) VALUES (0, $1, 3, $2)', [
    Number(cmd_seq) + 1,
    'begun, not ended',
  ]);
  const decided: string[] = [];
  await rig.startWriter({ instanceId: 'w2', faultPoints: (step) => void decided.push(step) });
  expect(await rig.outcome(killer)).toMatchObject({ kind: 'rejected', code: 'COMMAND_POISONED' });
  expect(decided).not.toContain('decide');
  await rig.expectPersisted(next);
  expect((await deadLetters(rig)).map((letter) => letter.reason)).toEqual(['ended its writer repeatedly']);
});

it('in careful mode attempts are counted before a command is decided, and forgotten when it succeeds', async () => {
  const rig = await createRig();
  const first = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  await first.stop();
  await rig.query('UPDATE partition SET open_cmd_seq = cmd_seq, open_count = 3');
  const sends = Array.from({ length: 20 }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );
  for (const command of sends) await rig.send(command);
  await rig.query('CREATE TABLE counted (cmd_seq bigint, decided integer)');
  await rig.query(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO counted SELECT NEW.cmd_seq, count(*) FROM event_log WHERE type = 'message.sent'; RETURN NEW; END $$`);
  await rig.query('CREATE TRIGGER note AFTER INSERT ON poison FOR EACH ROW EXECUTE FUNCTION note()');
  await rig.startWriter({ instanceId: 'w2' });
  for (const command of sends) expect(await rig.outcome(command)).toMatchObject({ kind: 'persisted' });
  expect((await rig.messages(0)).map((message) => message.commandId)).toEqual(
    sends.map((command) => command.id),
  );
  await eventually('forgotten', async () => (await rig.query('SELECT 1 FROM poison')).length === 0);
  // Each was counted when exactly those before it were committed.
  const counted = await rig.query<{ decided: number }>('SELECT decided FROM counted ORDER BY cmd_seq');
  expect(counted.map((row) => row.decided)).toEqual(sends.map((_, i) => i));
});

it('attempts at a command of an earlier command stream do not count for another one under its number', async () => {
  const rig = await createRig();
  const first = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  await rig.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.payload LIKE '%"text":"poison"%' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22023'; END IF; RETURN NEW; END $$`);
  await rig.query('CREATE TRIGGER refuse BEFORE INSERT ON event_log FOR EACH ROW EXECUTE FUNCTION refuse()');
  const poison = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'poison' });
  const { seq } = await rig.send(poison);
  expect(await rig.outcome(poison)).toMatchObject({ kind: 'rejected', code: 'COMMAND_POISONED' });
  await first.stop();
  expect(await rig.query('SELECT attempts FROM poison WHERE cmd_seq = $1', [seq])).toEqual([{ attempts: 3 }]);

  await rig.ops.jsm.streams.delete('CMD_0');
  await ensureCmdStream(rig.ops.jsm, 0);
  await rig.query(`UPDATE partition SET cmd_seq = $1, cmd_msg_id = '', open_cmd_seq = $1, open_count = 3`, [
    seq - 1,
  ]);
  const sends = Array.from({ length: seq }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );
  for (const command of sends) await rig.send(command);
  await rig.startWriter({ instanceId: 'w2' });
  for (const command of sends) expect(await rig.outcome(command)).toMatchObject({ kind: 'persisted' });
});
