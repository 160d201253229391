/** Each number is compared with what it claims to count. */

import { DiscardPolicy } from '@nats-io/jetstream';
import { expect, it, vi } from 'vitest';
import { evtStream } from '@chat/contracts/streams';
import { type Metrics, createMetrics } from '@chat/platform/metrics';
import { makeCommand, newId, newTeamId } from '../testing/commands.ts';
import { createRig, eventually } from '../testing/writer-rig.ts';
import { publishPartitionMetrics } from './partition-metrics.ts';

vi.setConfig({ testTimeout: 60_000 });

/** The value of a series as it would be scraped, `name{a="b"}`; undefined when there is none. */
const valueOf = async (metrics: Metrics, series: string): Promise<number | undefined> => {
  const line = (await metrics.registry.metrics()).split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

const start = async (partitionCount = 1) => {
  const rig = await createRig({ partitionCount });
  const metrics = createMetrics();
  await rig.startWriter({ metrics, partitionCount, streamWatchMs: 100 });
  const teamId = newTeamId(0);
  const channelId = await rig.createTeam(teamId, 'alice');
  const message = (text: string) => makeCommand(teamId, 'alice', 'message.send', { channelId, text });
  const becomes = (series: string, test: (value: number) => boolean): Promise<number> =>
    eventually(series, async () => {
      const value = await valueOf(metrics, series);
      if (value === undefined || !test(value)) throw new Error(`${series} is ${value}`);
      return value;
    });
  return { rig, metrics, teamId, message, becomes };
};

it('commands are counted by name and outcome, batches and events by their number', async () => {
  const { rig, metrics, message, becomes, teamId } = await start();
  const first = message('one');
  await rig.expectPersisted(first);
  await rig.expectPersisted(message('two'));
  await rig.perform(makeCommand(teamId, 'alice', 'message.send', { channelId: newId(), text: 'lost' }));
  // Past the broker's window: under another Msg-Id.
  await rig.send({ ...first, msgId: `${first.msgId}x` });
  const of = (outcome: string): string =>
    `chat_writer_commands_total{name="message.send",outcome="${outcome}"}`;
  await becomes(of('repeat'), (value) => value === 1);
  expect(await valueOf(metrics, of('persisted'))).toBe(2);
  expect(await valueOf(metrics, of('rejected'))).toBe(1);
  const events = (await rig.consistent(0)).length;
  await becomes('chat_writer_partition_position{partition="0"}', (value) => value === events);
  await becomes('chat_writer_relayed_events_total', (value) => value === events);
  const batches = (await valueOf(metrics, 'chat_writer_batch_commands_count')) ?? 0;
  expect(batches).toBeGreaterThan(3);
  expect(await valueOf(metrics, 'chat_writer_commit_duration_seconds_count')).toBe(batches);
  expect(await valueOf(metrics, 'chat_database_errors_total{kind="data"}')).toBe(0);
});

it('a stream that takes no events shows how many wait and since when; afterwards none does', async () => {
  const { rig, message, becomes } = await start();
  const { config } = await rig.ops.jsm.streams.info(evtStream(0));
  const full = { ...config, discard: DiscardPolicy.New, max_bytes: 1 };
  await rig.ops.jsm.streams.update(evtStream(0), full);
  for (const text of ['a', 'b', 'c']) await rig.send(message(text));
  await becomes('chat_writer_unpublished_events{partition="0"}', (value) => value === 3);
  const before = await becomes('chat_writer_oldest_unpublished_seconds{partition="0"}', (value) => value > 0);
  await becomes('chat_writer_oldest_unpublished_seconds{partition="0"}', (value) => value > before);
  await rig.ops.jsm.streams.update(evtStream(0), config);
  await becomes('chat_writer_unpublished_events{partition="0"}', (value) => value === 0);
  await becomes('chat_writer_oldest_unpublished_seconds{partition="0"}', (value) => value === 0);
  await rig.consistent(0);
});

it('commands that wait for the database are a backlog, and its errors are counted', async () => {
  const { rig, message, becomes } = await start();
  await becomes('chat_writer_command_backlog{partition="0"}', (value) => value === 0);
  // Nothing can be committed while the table is away.
  await rig.query('ALTER TABLE event_log RENAME TO event_log_away');
  for (const text of ['a', 'b', 'c', 'd']) await rig.send(message(text));
  await becomes('chat_writer_command_backlog{partition="0"}', (value) => value === 4);
  await becomes('chat_database_errors_total{kind="bug"}', (value) => value > 0);
  await rig.query('ALTER TABLE event_log_away RENAME TO event_log');
  await becomes('chat_writer_command_backlog{partition="0"}', (value) => value === 0);
  await rig.consistent(0);
});

it('owner, streams and pool are shown; what nobody owns is 0, not absent', async () => {
  const { metrics, becomes } = await start(2);
  for (const p of [0, 1])
    await becomes(`chat_writer_partition_owned{partition="${p}"}`, (value) => value === 1);
  expect(await valueOf(metrics, 'chat_writer_takeovers_total')).toBe(2);
  expect(await valueOf(metrics, 'chat_writer_partition_halted{partition="0"}')).toBe(0);
  await becomes('chat_writer_partition_owner_epoch{partition="1"}', (value) => value === 1);
  await becomes('chat_stream_bytes{stream="EVT_0"}', (value) => value > 0);
  await becomes('chat_stream_max_bytes{stream="CMD_1"}', (value) => value === 2 ** 30);
  expect(await valueOf(metrics, 'chat_postgres_pool_max_connections{pool="writer"}')).toBe(4);

  const idle = createMetrics();
  publishPartitionMetrics({
    metrics: idle,
    partitionCount: 1,
    isOwned: () => false,
    openPartitions: () => [],
    unavailable: () => 'another writer owns the partition',
    backlogs: () => new Map(),
  });
  expect(await valueOf(idle, 'chat_writer_partition_owned{partition="0"}')).toBe(0);
});
