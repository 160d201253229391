/** Databases, NATS, the processes, and who is called when nobody comes. */

import { type Case, fires, quiet } from './case.ts';

const breaker = 'chat_breaker_state{breaker="writer"}';
const mongoBreaker = 'chat_breaker_state{breaker="chat-api-mongodb"}';
const pool = (state: string): string => `chat_postgres_pool_connections{pool="read",state="${state}"}`;
const poolMax = 'chat_postgres_pool_max_connections{pool="read"}';
const mongoPool = (state: string): string => `chat_mongodb_pool_connections{pool="read",state="${state}"}`;
const mongoPoolMax = 'chat_mongodb_pool_max_connections{pool="read"}';
const nats = (connection: string): string =>
  `chat_nats_connected{job="chat-gateway",instance="a",connection="${connection}"}`;
const up = (job: string): string => `up{job="chat-${job}",instance="a"}`;
const jobs = ['gateway', 'writer', 'projector', 'api'];
const allUp = Object.fromEntries(jobs.map((job) => [up(job), '1x20']));
const ofJob = (metric: string): string => `${metric}{job="chat-writer",instance="a"}`;

export const dependencyCases: readonly Case[] = [
  fires('ChatBreakerOpen', 'it is open', '1m', { [breaker]: '2x10' }),
  quiet('ChatBreakerOpen', 'it is half-open', '1m', { [breaker]: '1x10' }),
  quiet('ChatBreakerOpen', 'that of MongoDB is open', '1m', { [mongoBreaker]: '2x10' }),
  fires('ChatMongoBreakerOpen', 'it is open', '1m', { [mongoBreaker]: '2x10' }),
  quiet('ChatMongoBreakerOpen', 'that of PostgreSQL is open', '1m', { [breaker]: '2x10' }),
  fires('ChatBreakerFlaps', 'it opened five times', '14m', {
    'chat_breaker_transitions_total{breaker="writer",to="open"}': '0x10 1x10 2x10 3x10 4x10 5x10',
  }),
  quiet('ChatBreakerFlaps', 'it opened once', '14m', {
    'chat_breaker_transitions_total{breaker="writer",to="open"}': '0x30 1x30',
    'chat_breaker_transitions_total{breaker="writer",to="closed"}': '0+1x60',
  }),
  fires('ChatPoolExhausted', 'all are used and callers wait', '2m', {
    [pool('active')]: '20x10',
    [pool('waiting')]: '3x10',
    [poolMax]: '20x10',
  }),
  quiet('ChatPoolExhausted', 'all are used and nobody waits', '2m', {
    [pool('active')]: '20x10',
    [pool('waiting')]: '0x10',
    [poolMax]: '20x10',
  }),
  quiet('ChatPoolExhausted', 'somebody waits for a connection that is being made', '2m', {
    [pool('active')]: '3x10',
    [pool('waiting')]: '1x10',
    [poolMax]: '20x10',
  }),
  fires('ChatMongoPoolExhausted', 'all are used and callers wait', '2m', {
    [mongoPool('active')]: '20x10',
    [mongoPool('waiting')]: '3x10',
    [mongoPoolMax]: '20x10',
  }),
  quiet('ChatMongoPoolExhausted', 'a connection is being made for the one that waits', '2m', {
    [mongoPool('active')]: '3x10',
    [mongoPool('waiting')]: '1x10',
    [mongoPoolMax]: '20x10',
  }),
  fires('ChatDatabaseErrors', 'one a second', '11m', {
    'chat_database_errors_total{kind="transient"}': '0+15x50',
  }),
  quiet('ChatDatabaseErrors', 'one', '11m', { 'chat_database_errors_total{kind="transient"}': '0x20 1x30' }),
  fires('ChatCommitSlow', 'two in a hundred take more than 1 s', '11m', {
    'chat_writer_commit_duration_seconds_bucket{le="1"}': '0+98x50',
    'chat_writer_commit_duration_seconds_bucket{le="2.5"}': '0+100x50',
    'chat_writer_commit_duration_seconds_bucket{le="+Inf"}': '0+100x50',
  }),
  quiet('ChatCommitSlow', 'all are fast', '11m', {
    'chat_writer_commit_duration_seconds_bucket{le="1"}': '0+100x50',
    'chat_writer_commit_duration_seconds_bucket{le="2.5"}': '0+100x50',
    'chat_writer_commit_duration_seconds_bucket{le="+Inf"}': '0+100x50',
  }),
  fires('ChatNatsDisconnected', 'one of its connections is gone', '1m', {
    [nats('main')]: '1x10',
    [nats('replay')]: '0x10',
  }),
  quiet('ChatNatsDisconnected', 'both stand', '1m', { [nats('main')]: '1x10', [nats('replay')]: '1x10' }),
  fires('ChatNatsReconnects', 'ten times in ten minutes', '10m', {
    chat_nats_reconnects_total: '0+1x10 11+0x10 12+1x30',
  }),
  quiet('ChatNatsReconnects', 'once', '10m', { chat_nats_reconnects_total: '0x20 1x30' }),

  fires('ChatProcessDown', 'one does not answer', '2m', { [up('writer')]: '0x20' }),
  quiet('ChatProcessDown', 'it is back within a minute', '2m', { [up('writer')]: '0x2 1x18' }),
  fires('ChatServiceGone', 'no api answers', '2m', { ...allUp, [up('api')]: '0x20' }),
  quiet('ChatServiceGone', 'one of each answers', '2m', allUp),
  fires('ChatRestartLoop', 'five starts', '14m', {
    [ofJob('process_start_time_seconds')]: '1x9 2x9 3x9 4x9 5x9 6x9',
  }),
  quiet('ChatRestartLoop', 'a roll', '14m', { [ofJob('process_start_time_seconds')]: '1x30 2x30' }),
  fires('ChatEventLoopBlocked', '0.8 s late', '6m', {
    [ofJob('nodejs_eventloop_lag_p99_seconds')]: '0.8x40',
  }),
  quiet('ChatEventLoopBlocked', '20 ms late', '6m', {
    [ofJob('nodejs_eventloop_lag_p99_seconds')]: '0.02x40',
  }),
  fires('ChatMemoryGrows', '2 GiB', '12m', { [ofJob('process_resident_memory_bytes')]: '2147483648x60' }),
  quiet('ChatMemoryGrows', '300 MiB', '12m', { [ofJob('process_resident_memory_bytes')]: '314572800x60' }),
  fires('ChatClockWrong', 'a minute ahead', '3m', { chat_clock_seconds: '60+15x20' }),
  fires('ChatClockWrong', 'a minute behind', '3m', { chat_clock_seconds: '-60+15x20' }),
  quiet('ChatClockWrong', 'the same', '3m', { chat_clock_seconds: '0+15x20' }),

  fires('ChatUnhandled15Minutes', 'a page fires for 17 minutes', '17m', { [breaker]: '2x140' }),
  quiet('ChatUnhandled15Minutes', 'a page fires for 10 minutes', '10m', { [breaker]: '2x140' }),
  quiet('ChatUnhandled15Minutes', 'a ticket fires', '20m', { chat_clock_seconds: '60+15x140', ...longUp() }),
  fires('ChatUnhandled30Minutes', 'a page fires for 33 minutes', '33m', { [breaker]: '2x140' }),
  quiet('ChatUnhandled30Minutes', 'a page fires for 20 minutes', '20m', { [breaker]: '2x140' }),
];

/** Without these the pages about what is missing would fire too. */
function longUp(): Readonly<Record<string, string>> {
  const series = Object.fromEntries(jobs.map((job) => [up(job), '1x140']));
  return { ...series, 'chat_writer_partition_owned{partition="0"}': '1x140' };
}
