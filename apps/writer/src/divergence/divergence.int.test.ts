import { headers as createHeaders } from '@nats-io/nats-core';
import { expect, it, vi } from 'vitest';
import { ensureCmdStream } from '@chat/platform/nats/streams';
import { makeCommand, newTeamId } from '../testing/commands.ts';
import { createWriterStreams } from '../streams/writer-streams.ts';
import { adoptStream, discard } from './operator-choice.ts';
import { type WriterRig, createRig, eventually } from '../testing/writer-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

const sendMany = async (
  rig: WriterRig,
  teamId: ReturnType<typeof newTeamId>,
  channelId: string,
  count: number,
) => {
  const sends = Array.from({ length: count }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `message ${i}` }),
  );
  for (const command of sends) await rig.send(command);
  await rig.outcome(sends.at(-1)!);
  return sends;
};

/** Everything that a restore to an earlier point brings back, taken now and put back later. */
const takeBackup = async (rig: WriterRig) => {
  const tables = ['command', 'event_log', 'team', 'team_member', 'channel', 'channel_member'] as const;
  for (const table of tables) await rig.query(`CREATE TABLE backup_${table} AS SELECT * FROM ${table}`);
  await rig.query('CREATE TABLE backup_partition AS SELECT p, cmd_seq, cmd_msg_id, next_id FROM partition');
  return async (): Promise<void> => {
    for (const table of tables) {
      await rig.query(`DELETE FROM ${table}`);
      await rig.query(`INSERT INTO ${table} SELECT * FROM backup_${table}`);
    }
    await rig.query(`UPDATE partition t SET cmd_seq = b.cmd_seq, cmd_msg_id = b.cmd_msg_id, next_id = b.next_id
      FROM backup_partition b WHERE b.p = t.p`);
  };
};

const stateOf = async (rig: WriterRig): Promise<unknown> => ({
  command: await rig.query(
    'SELECT team_id, command_id, actor, hash, event_id, code FROM command ORDER BY event_id',
  ),
  team: await rig.query('SELECT * FROM team ORDER BY 1'),
  members: await rig.query('SELECT * FROM team_member ORDER BY 1, 2'),
  channels: await rig.query('SELECT * FROM channel ORDER BY 1, 2'),
  channelMembers: await rig.query('SELECT * FROM channel_member ORDER BY 1, 2, 3'),
  log: await rig.query('SELECT * FROM event_log ORDER BY p, id'),
});

it.each(['running', 'stopped'])(
  'EVT wiped while the writer is %s: the same events under the same numbers',
  async (mode) => {
    const rig = await createRig();
    const writer = await rig.startWriter();
    const teamId = newTeamId(0);
    const channelId = await rig.createTeam(teamId, 'alice');
    await sendMany(rig, teamId, channelId, 50);
    await rig.consistent(0);
    const before = await rig.streamEvents(0);
    if (mode === 'stopped') await writer.stop();
    await rig.ops.jsm.streams.delete('EVT_0');
    if (mode === 'stopped') await rig.startWriter({ instanceId: 'w2' });
    await rig.expectPersisted(makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'after' }));
    await rig.consistent(0);
    const after = await rig.streamEvents(0);
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after).toHaveLength(before.length + 1);
  },
);

it('EVT wiped while nothing is sent: repaired without anybody writing', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  await rig.createTeam(teamId, 'alice');
  await rig.consistent(0);
  const before = await rig.streamEvents(0);
  await rig.ops.jsm.streams.delete('EVT_0');
  await eventually('the stream is back', async () => (await rig.streamEvents(0)).length === before.length);
  expect(await rig.streamEvents(0)).toEqual(before);
});

it('a stream made anew begins with the oldest event that it would still hold', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  await sendMany(rig, teamId, channelId, 20);
  const log = await rig.consistent(0);
  await writer.stop();
  await rig.ops.jsm.streams.delete('EVT_0');
  const eightDaysMs = 8 * 24 * 3_600_000;
  await rig.query('UPDATE event_log SET at = at - $1 WHERE id <= 10', [eightDaysMs]);
  await rig.startWriter({ instanceId: 'w2' });
  await eventually('relayed again', async () => (await rig.streamEvents(0)).length === log.length - 10);
  const stream = await rig.streamEvents(0);
  expect(stream.map((event) => event.seq)).toEqual(log.slice(10).map((row) => row.id));
});

it('CMD wiped while the writer runs: clients’ repeats lead to one message each', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const sends = await sendMany(rig, teamId, channelId, 30);
  await rig.ops.jsm.streams.delete('CMD_0');
  const fresh = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'fresh' });
  for (const command of [...sends, fresh, ...sends]) await rig.send(command);
  expect(await rig.outcome(fresh)).toMatchObject({ kind: 'persisted' });
  const marker = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'marker' });
  await rig.expectPersisted(marker);
  expect((await rig.messages(0)).map((message) => message.commandId)).toEqual(
    [...sends, fresh, marker].map((command) => command.id),
  );
});

it('CMD that lost its tail and grew again past our position: what is new there is not skipped', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  await sendMany(rig, teamId, channelId, 10);
  await writer.stop();
  await rig.ops.jsm.streams.delete('CMD_0');
  await ensureCmdStream(rig.ops.jsm, 0);
  const fresh = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const command = makeCommand(teamId, 'alice', 'message.send', { channelId, text: `fresh ${i}` });
      await rig.send(command);
      return command;
    }),
  );
  await rig.startWriter({ instanceId: 'w2' });
  for (const command of fresh) expect(await rig.outcome(command)).toMatchObject({ kind: 'persisted' });
  expect(await rig.messages(0)).toHaveLength(50);
});

it('CMD made anew, where a repeat of our last command came to stand at its old number: what stands before it is not skipped', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const sends = await sendMany(rig, teamId, channelId, 5);
  const last = sends.at(-1)!;
  await writer.stop();
  const [row] = await rig.query<{ cmd_seq: string }>('SELECT cmd_seq FROM partition');
  const lastSeq = Number(row!.cmd_seq);
  await rig.ops.jsm.streams.delete('CMD_0');
  await ensureCmdStream(rig.ops.jsm, 0);
  const fresh = Array.from({ length: lastSeq - 1 }, (_, i) =>
    makeCommand(teamId, 'alice', 'message.send', { channelId, text: `fresh ${i}` }),
  );
  for (const command of fresh) await rig.send(command);
  expect(await rig.send(last)).toMatchObject({ seq: lastSeq });
  await rig.startWriter({ instanceId: 'w2' });
  const marker = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'marker' });
  await rig.expectPersisted(marker);
  expect((await rig.messages(0)).map((message) => message.commandId)).toEqual(
    [...sends, ...fresh, marker].map((command) => command.id),
  );
});

it('PostgreSQL restored to an older state while EVT stays: the events are adopted, state and all', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice', ['bob']);
  await sendMany(rig, teamId, channelId, 5);
  const restore = await takeBackup(rig);
  // What the restored database does not know: messages, a member that came and one that went, a read mark, refusals.
  const lostTeam = newTeamId(0);
  await rig.createTeam(lostTeam, 'dora');
  await sendMany(rig, teamId, channelId, 150);
  await rig.expectPersisted(makeCommand(teamId, 'alice', 'member.add', { userId: 'carol' }));
  await rig.expectPersisted(makeCommand(teamId, 'carol', 'channel.join', { channelId }));
  await rig.expectPersisted(makeCommand(teamId, 'carol', 'read.mark', { channelId, channelSeq: 3 }));
  await rig.expectPersisted(
    makeCommand(teamId, 'alice', 'channel.create', { kind: 'direct', memberIds: ['bob'] }),
  );
  await rig.expectPersisted(makeCommand(teamId, 'alice', 'member.remove', { userId: 'bob' }));
  const refused = makeCommand(teamId, 'bob', 'message.send', { channelId, text: 'still here?' });
  await rig.perform(refused);
  await rig.consistent(0);
  await writer.stop();
  const before = await stateOf(rig);
  const stream = await rig.streamEvents(0);
  await restore();
  await rig.startWriter({ instanceId: 'w2' });
  await rig.expectPersisted(makeCommand(teamId, 'carol', 'message.send', { channelId, text: 'after' }));
  const log = await rig.consistent(0);
  expect(await rig.streamEvents(0)).toEqual([
    ...stream,
    { seq: stream.length + 1, payload: log.at(-1)!.payload },
  ]);
  await rig.query('DELETE FROM event_log WHERE id > $1', [stream.length]);
  await rig.query('DELETE FROM command WHERE event_id > $1', [stream.length]);
  await rig.query('UPDATE channel SET last_channel_seq = last_channel_seq - 1 WHERE channel_id = $1', [
    channelId,
  ]);
  const after = await stateOf(rig);
  const withoutAt = (state: unknown): unknown =>
    JSON.parse(JSON.stringify(state), (key, value: unknown) => (key === 'last_at' ? 0 : value));
  expect(withoutAt(after)).toEqual(withoutAt(before));
});

it('a stream that ends in the middle of a command is not adopted; discarding it, the command is decided again, whole', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  await rig.createTeam(teamId, 'alice');
  await rig.consistent(0);
  const restore = await takeBackup(rig);
  const channel = makeCommand(teamId, 'alice', 'channel.create', { kind: 'public', name: 'half' });
  await rig.expectPersisted(channel);
  const whole = await rig.consistent(0);
  const wholeState = await stateOf(rig);
  await writer.stop();
  await restore();
  const { config, state } = await rig.ops.jsm.streams.info('EVT_0');
  const kept = await Promise.all(
    Array.from({ length: state.last_seq - 1 }, (_, i) =>
      rig.ops.jsm.streams.getMessage('EVT_0', { seq: i + 1 }),
    ),
  );
  // As when the writer died between two events of the command.
  await rig.ops.jsm.streams.delete('EVT_0');
  await rig.ops.jsm.streams.add(config);
  const { js, jsm } = await rig.connect('writer');
  for (const message of kept) {
    const headers = createHeaders();
    if (message!.header.get('Chat-More') !== '') headers.set('Chat-More', message!.header.get('Chat-More'));
    await js.publish(message!.subject, message!.data, { headers });
  }
  await rig.startWriter({ instanceId: 'w2' });
  const halted = await eventually('halted', async () => {
    const [row] = await rig.query<{ halted: string | null }>('SELECT halted FROM partition');
    return row?.halted ?? undefined;
  });
  expect(halted).toMatch(/in the middle of a command/);
  const deps = { databaseUrl: rig.databaseUrl, streams: createWriterStreams(jsm, { replicas: 1 }) };
  // Adopting it would halt again, and cost rows before that.
  const stateBefore = await stateOf(rig);
  expect(await adoptStream(deps, 0)).toMatchObject({
    ok: false,
    message: expect.stringMatching(/in the middle of a command.*only discard helps; nothing was changed/),
  });
  expect(await stateOf(rig)).toEqual(stateBefore);
  expect(await discard(deps, 0)).toMatchObject({ ok: true });
  expect(await rig.outcome(channel)).toMatchObject({ kind: 'persisted' });
  const typesOf = (log: typeof whole) =>
    log.map((row) => [row.scope, row.element.type, row.element.commandId]);
  expect(typesOf(await rig.consistent(0))).toEqual(typesOf(whole));
  const withoutTimes = (state: unknown): unknown =>
    JSON.parse(JSON.stringify({ ...(state as object), log: [] }), (key, value: unknown) =>
      key === 'last_at' ? 0 : value,
    );
  expect(withoutTimes(await stateOf(rig))).toEqual(withoutTimes(wholeState));
});

it('the mark of an unfinished command is the same when its events are relayed again from the log', async () => {
  const rig = await createRig();
  await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const send = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'one' });
  await rig.expectPersisted(send);
  // Its id again with another body: a fact with the same id, and no part of the command.
  const misuse = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'two' }, send.id);
  expect(await rig.perform(misuse)).toMatchObject({ kind: 'rejected' });
  // A repeat under another hash is answered before it is decided: its fact may still be on its way.
  const log = await eventually('the fact of the misuse', async () => {
    const found = await rig.consistent(0);
    return found.filter((row) => row.element.commandId === send.id).length === 2 && found;
  });
  const marks = (): Promise<readonly boolean[]> =>
    Promise.all(
      log.map(async (row) => {
        const message = await rig.ops.jsm.streams.getMessage('EVT_0', { seq: row.id });
        return message!.header.get('Chat-More') !== '';
      }),
    );
  const isMore = log.map(
    (row, i) => i + 1 < log.length && log[i + 1]!.element.commandId === row.element.commandId,
  );
  isMore[log.length - 2] = false;
  expect(isMore).toContain(true);
  expect(await marks()).toEqual(isMore);
  await rig.ops.jsm.streams.delete('EVT_0');
  await rig.consistent(0);
  await eventually('relayed again', async () => (await rig.streamEvents(0)).length === log.length);
  expect(await marks()).toEqual(isMore);
});

it('a diverged partition is halted with its reason, nothing is written, and who asks is told', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const restore = await takeBackup(rig);
  await sendMany(rig, teamId, channelId, 5);
  await rig.consistent(0);
  await writer.stop();
  const stream = await rig.streamEvents(0);
  await restore();
  // The restored database was written on before anybody compared: another event under a number that is taken.
  await rig.query(`INSERT INTO event_log (p, id, team_id, scope, type, version, command_id, payload, at)
    SELECT p, id + 1, team_id, scope, type, version, command_id, payload, at FROM event_log ORDER BY id DESC LIMIT 1`);
  await rig.query('UPDATE partition SET next_id = next_id + 1');
  const before = await stateOf(rig);
  const second = await rig.startWriter({ instanceId: 'w2' });
  const halted = await eventually('halted', async () => {
    const [row] = await rig.query<{ halted: string | null }>('SELECT halted FROM partition');
    return row?.halted ?? undefined;
  });
  expect(halted).toMatch(/event \d+ differs/);
  const command = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'not now' });
  await rig.send(command);
  const { teamId: team, id: commandId, actor, hash } = command;
  const request = JSON.stringify({ teamId: team, commandId, actor, hash, waitMs: 500 });
  const reply = (await rig.gateway.nc.request('writer.0.outcome', request, { timeout: 5_000 })).json();
  expect(reply).toMatchObject({ kind: 'unavailable', reason: expect.stringContaining('differs') as unknown });
  expect(second.checks.partitions!()).toMatchObject({
    ok: false,
    reason: expect.stringContaining('differs') as unknown,
  });
  expect(await stateOf(rig)).toEqual(before);
  expect(await rig.streamEvents(0)).toEqual(stream);
});

/** A partition that was written on after a restore, before anybody compared. */
const divergedRig = async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  await rig.consistent(0);
  await writer.stop();
  const stream = 'EVT_0';
  const restore = await takeBackup(rig);
  const second = await rig.startWriter({ instanceId: 'w2' });
  const inStream = await sendMany(rig, teamId, channelId, 5);
  await rig.consistent(0);
  await second.stop();
  await restore();
  const { config } = await rig.ops.jsm.streams.info(stream);
  const kept = await rig.streamEvents(0);
  const common = kept.length - 5;
  // The database goes its own way: a stream of its own for a while, then the first one comes back.
  await rig.ops.jsm.streams.delete(stream);
  const third = await rig.startWriter({ instanceId: 'w3' });
  await rig.ops.jsm.streams.delete('CMD_0');
  const inDatabase = await sendMany(rig, teamId, channelId, 3);
  await third.stop();
  await rig.ops.jsm.streams.delete(stream);
  await rig.ops.jsm.streams.add(config);
  const back = await rig.connect('writer');
  const log = await rig.rows(0);
  const subjects = new Map(log.map((row) => [row.id, `evt.0.${teamId}.${row.scope}`]));
  for (const { seq, payload } of kept) {
    await back.js.publish(subjects.get(seq) ?? `evt.0.${teamId}.c_${channelId}`, payload);
  }
  await rig.startWriter({ instanceId: 'w4' });
  await eventually('halted', async () => {
    const [row] = await rig.query<{ halted: string | null }>('SELECT halted FROM partition');
    return row?.halted !== null;
  });
  const deps = { databaseUrl: rig.databaseUrl, streams: createWriterStreams(back.jsm, { replicas: 1 }) };
  return { rig, teamId, channelId, inStream, inDatabase, common, deps };
};

it('an operator that adopts takes the stream’s version, and the partition goes on', async () => {
  const { rig, teamId, channelId, inStream, inDatabase, deps } = await divergedRig();
  expect(await adoptStream(deps, 0)).toMatchObject({ ok: true });
  const after = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'after' });
  await rig.expectPersisted(after);
  // What only the database had was taken back, read again from CMD and decided anew behind what the stream had.
  const ids = (await rig.messages(0)).map((message) => message.commandId);
  expect(ids).toEqual([...inStream, ...inDatabase, after].map((command) => command.id));
  expect(await adoptStream(deps, 0)).toMatchObject({ ok: false });
});

it('an empty stream of another epoch halts the partition, and there is nothing in it to adopt', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  await rig.createTeam(newTeamId(0), 'alice');
  await rig.consistent(0);
  await writer.stop();
  const { jsm } = await rig.connect('writer');
  // As by hand: `nats stream add` knows no epoch.
  const { config } = await rig.ops.jsm.streams.info('EVT_0');
  await rig.ops.jsm.streams.delete('EVT_0');
  await rig.ops.jsm.streams.add({ ...config, metadata: {} });
  await rig.startWriter({ instanceId: 'w2' });
  await eventually('halted', async () => {
    const [row] = await rig.query<{ halted: string | null }>('SELECT halted FROM partition');
    return row?.halted !== null;
  });
  const before = await stateOf(rig);
  const deps = { databaseUrl: rig.databaseUrl, streams: createWriterStreams(jsm, { replicas: 1 }) };
  expect(await adoptStream(deps, 0)).toMatchObject({
    ok: false,
    message: expect.stringMatching(/nothing to adopt/),
  });
  expect(await stateOf(rig)).toEqual(before);
});

it('an operator that discards starts a new epoch with the database’s version', async () => {
  const { rig, teamId, channelId, inDatabase, deps } = await divergedRig();
  const [before] = await rig.query<{ epoch: string }>('SELECT epoch FROM partition');
  expect(await discard(deps, 0)).toMatchObject({ ok: true });
  const after = makeCommand(teamId, 'alice', 'message.send', { channelId, text: 'after' });
  await rig.expectPersisted(after);
  const ids = (await rig.messages(0)).map((message) => message.commandId);
  expect(ids).toEqual([...inDatabase, after].map((command) => command.id));
  const { config } = await rig.ops.jsm.streams.info('EVT_0');
  expect(config.metadata?.epoch).not.toBe(before!.epoch);
  expect(await discard(deps, 0)).toMatchObject({ ok: false });
});

it('a stream of another epoch halts the partition', async () => {
  const rig = await createRig();
  const writer = await rig.startWriter();
  await rig.createTeam(newTeamId(0), 'alice');
  await rig.consistent(0);
  await writer.stop();
  await rig.query(`UPDATE partition SET epoch = 'another'`);
  await rig.startWriter({ instanceId: 'w2' });
  const halted = await eventually('halted', async () => {
    const [row] = await rig.query<{ halted: string | null }>('SELECT halted FROM partition');
    return row?.halted ?? undefined;
  });
  expect(halted).toContain('epoch');
});
