/** Partitions, streams and the read model. */

import { type Case, fires, quiet } from './case.ts';

const of = (metric: string, labels: string): string => `${metric}{${labels}}`;
const p1 = (metric: string): string => of(metric, 'partition="1"');
const p1Live = (metric: string): string => of(metric, 'partition="1",view="core",stage="live"');
const p1Building = (metric: string): string => of(metric, 'partition="1",view="core",stage="building"');
const owned = (instance: string): string =>
  of('chat_writer_partition_owned', `partition="1",instance="${instance}"`);
const projected = (instance: string): string =>
  of('chat_projector_partition_owned', `partition="1",instance="${instance}"`);
const driftRows = (instance: string): string =>
  of('chat_projector_drift_rows', `partition="1",what="message",kind="missing",instance="${instance}"`);
const driftChecked = (instance: string): string =>
  of('chat_projector_drift_checked_timestamp_seconds', `partition="1",instance="${instance}"`);

export const pipelineCases: readonly Case[] = [
  fires('ChatPartitionHalted', 'one writer says so', '1m', { [p1('chat_writer_partition_halted')]: '1x10' }),
  quiet('ChatPartitionHalted', 'none is', '1m', { [p1('chat_writer_partition_halted')]: '0x10' }),
  fires('ChatProjectorHalted', 'one is', '1m', { [p1Live('chat_projector_partition_halted')]: '1x10' }),
  quiet('ChatProjectorHalted', 'none is', '1m', { [p1Live('chat_projector_partition_halted')]: '0x10' }),

  fires('ChatReadModelDrift', 'the only check found some', '1m', {
    [driftRows('a')]: '3x10',
    [driftChecked('a')]: '1000x10',
  }),
  fires('ChatReadModelDrift', 'the newest check found some', '1m', {
    [driftRows('a')]: '0x10',
    [driftChecked('a')]: '1000x10',
    [driftRows('b')]: '3x10',
    [driftChecked('b')]: '2000x10',
  }),
  quiet('ChatReadModelDrift', 'a newer check of another process found none', '1m', {
    [driftRows('a')]: '3x10',
    [driftChecked('a')]: '1000x10',
    [driftRows('b')]: '0x10',
    [driftChecked('b')]: '2000x10',
  }),

  fires('ChatPartitionUnowned', 'neither of two writers has it', '1m', {
    [owned('a')]: '0x10',
    [owned('b')]: '0x10',
  }),
  fires('ChatPartitionUnowned', 'there is no writer', '1m', { up: '1x10' }),
  quiet('ChatPartitionUnowned', 'one of two writers has it', '1m', {
    [owned('a')]: '0x10',
    [owned('b')]: '1x10',
  }),
  quiet('ChatPartitionUnowned', 'it changes hands', '1m', { [owned('a')]: '1x2 0x1 1x7' }),
  fires('ChatPartitionOwnedTwice', 'two think so', '3m', { [owned('a')]: '1x20', [owned('b')]: '1x20' }),
  quiet('ChatPartitionOwnedTwice', 'one does', '3m', { [owned('a')]: '1x20', [owned('b')]: '0x20' }),

  fires('ChatCommandBacklog', '6,000 wait', '2m', { [p1('chat_writer_command_backlog')]: '6000x10' }),
  quiet('ChatCommandBacklog', '400 wait', '2m', { [p1('chat_writer_command_backlog')]: '400x10' }),
  fires('ChatUnpublishedEvents', '1,001 wait', '1m', { [p1('chat_writer_unpublished_events')]: '1001x10' }),
  quiet('ChatUnpublishedEvents', '1,000 wait', '1m', { [p1('chat_writer_unpublished_events')]: '1000x10' }),
  fires('ChatOldestUnpublished', 'six minutes', '1m', {
    [p1('chat_writer_oldest_unpublished_seconds')]: '360x10',
  }),
  quiet('ChatOldestUnpublished', 'four minutes', '1m', {
    [p1('chat_writer_oldest_unpublished_seconds')]: '240x10',
  }),
  fires('ChatPoisonCommand', 'there was one', '5m', { chat_writer_poison_commands_total: '0x10 1x10' }),
  quiet('ChatPoisonCommand', 'the one was an hour ago', '60m', {
    chat_writer_poison_commands_total: '0x10 1x240',
  }),
  fires('ChatTakeovers', 'ten in ten minutes', '14m', {
    [owned('a')]: '1x60',
    chat_writer_takeovers_total: '0+1x60',
  }),
  quiet('ChatTakeovers', 'one', '14m', { [owned('a')]: '1x60', chat_writer_takeovers_total: '0x20 1x40' }),

  fires('ChatStreamNearBound', '85 %', '6m', {
    [of('chat_stream_bytes', 'stream="CMD_1"')]: '85x40',
    [of('chat_stream_max_bytes', 'stream="CMD_1"')]: '100x40',
  }),
  quiet('ChatStreamNearBound', '50 %, and one without a bound', '6m', {
    [of('chat_stream_bytes', 'stream="CMD_1"')]: '50x40',
    [of('chat_stream_max_bytes', 'stream="CMD_1"')]: '100x40',
    [of('chat_stream_bytes', 'stream="EVT_1"')]: '500x40',
    [of('chat_stream_max_bytes', 'stream="EVT_1"')]: '-1x40',
  }),
  fires('ChatStreamFull', 'commands at 96 %', '2m', {
    [of('chat_stream_bytes', 'stream="CMD_1"')]: '96x40',
    [of('chat_stream_max_bytes', 'stream="CMD_1"')]: '100x40',
  }),
  quiet('ChatStreamFull', 'events at 99 %: the oldest leave', '2m', {
    [of('chat_stream_bytes', 'stream="EVT_1"')]: '99x40',
    [of('chat_stream_max_bytes', 'stream="EVT_1"')]: '100x40',
  }),

  fires('ChatGatewayFeedStalled', '15 s', '1m', { [p1('chat_gateway_feed_stalled_seconds')]: '15x10' }),
  quiet('ChatGatewayFeedStalled', '1 s', '1m', { [p1('chat_gateway_feed_stalled_seconds')]: '1x10' }),
  fires('ChatProjectorPartitionUnowned', 'neither of two projectors has it', '1m', {
    [projected('a')]: '0x10',
    [projected('b')]: '0x10',
  }),
  fires('ChatProjectorPartitionUnowned', 'there is no projector', '1m', { up: '1x10' }),
  quiet('ChatProjectorPartitionUnowned', 'one of two projectors has it', '1m', {
    [projected('a')]: '0x10',
    [projected('b')]: '1x10',
  }),
  quiet('ChatProjectorPartitionUnowned', 'it changes hands', '1m', { [projected('a')]: '1x2 0x1 1x7' }),
  fires('ChatProjectorPartitionOwnedTwice', 'two think so', '3m', {
    [projected('a')]: '1x20',
    [projected('b')]: '1x20',
  }),
  quiet('ChatProjectorPartitionOwnedTwice', 'one does', '3m', {
    [projected('a')]: '1x20',
    [projected('b')]: '0x20',
  }),
  fires('ChatProjectorLag', '40 s', '2m', { [p1Live('chat_projector_lag_seconds')]: '40x10' }),
  quiet('ChatProjectorLag', '2 s', '2m', { [p1Live('chat_projector_lag_seconds')]: '2x10' }),
  quiet('ChatProjectorLag', 'a version is being built', '2m', {
    [p1Building('chat_projector_lag_seconds')]: '4000x10',
  }),
];
