/** Reads what a run left in PostgreSQL and in the streams, past every app: the evidence for the checker. */

import { evtStream } from '@chat/contracts/streams';
import type { TeamId, UserId } from '@chat/contracts/ids';
import type { CommandId } from '@chat/contracts/ids';
import type { Scope } from '@chat/contracts/subjects';
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import type { CommandRow, LogRow, StreamRow } from './history.ts';

/** `url` may name the members of a cluster, with commas between. */
export type NatsAccess = {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Of the inboxes that this user may subscribe to; default `_INBOX`, which is the operator's. */
  readonly inboxPrefix?: string;
};

/** One connection, one query, closed again. */
export const query = async <R extends pg.QueryResultRow>(
  databaseUrl: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<R[]> => {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined); // a server killed meanwhile; the query itself throws
  await client.connect();
  try {
    return (await client.query<R>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
};

/** The rows after `afterSeq`. */
export const readLog = async (
  databaseUrl: string,
  partition: number,
  afterSeq = 0,
): Promise<readonly LogRow[]> => {
  const rows = await query<{ id: string; team_id: TeamId; scope: Scope; payload: string }>(
    databaseUrl,
    'SELECT id, team_id, scope, payload FROM event_log WHERE p = $1 AND id > $2 ORDER BY id',
    [partition, afterSeq],
  );
  return rows.map(({ id, team_id: teamId, scope, payload }) => ({
    partition,
    seq: Number(id),
    teamId,
    scope,
    payload,
  }));
};

export const readCommands = async (databaseUrl: string, teamId: TeamId): Promise<readonly CommandRow[]> => {
  const rows = await query<{ command_id: CommandId; actor: UserId; event_id: string }>(
    databaseUrl,
    'SELECT command_id, actor, event_id FROM command WHERE team_id = $1',
    [teamId],
  );
  return rows.map(({ command_id: commandId, actor, event_id: eventId }) => ({
    teamId,
    commandId,
    actor,
    seq: Number(eventId),
  }));
};

/** Runs `use` with an operator's JetStream access. */
export const withJetStream = async <T>(
  { url, user, password, inboxPrefix = '_INBOX' }: NatsAccess,
  use: (access: {
    js: ReturnType<typeof jetstream>;
    jsm: Awaited<ReturnType<typeof jetstreamManager>>;
  }) => Promise<T>,
): Promise<T> => {
  const servers = url.split(',');
  const nc = await connect({ servers, user, pass: password, inboxPrefix, noAsyncTraces: true });
  try {
    return await use({ js: jetstream(nc), jsm: await jetstreamManager(nc) });
  } finally {
    await nc.close();
  }
};

const FETCH_COUNT = 1_000;

/** `EVT_<p>` from its first message after `afterSeq` to its last. */
export const readStream = (
  nats: NatsAccess,
  partition: number,
  afterSeq = 0,
): Promise<readonly StreamRow[]> =>
  withJetStream(nats, async ({ js, jsm }) => {
    const stream = evtStream(partition);
    const { state } = await jsm.streams.info(stream);
    const rows: StreamRow[] = [];
    const firstSeq = Math.max(state.first_seq, afterSeq + 1);
    if (state.messages === 0 || firstSeq > state.last_seq) return rows;
    const consumer = await js.consumers.get(stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: firstSeq,
    });
    while ((rows.at(-1)?.seq ?? 0) < state.last_seq) {
      const count = Math.min(FETCH_COUNT, state.last_seq - (rows.at(-1)?.seq ?? firstSeq - 1));
      for await (const message of await consumer.fetch({ max_messages: count, expires: 5_000 })) {
        rows.push({ partition, seq: message.seq, payload: message.string() });
      }
    }
    return rows;
  });

export type StreamEnd = { readonly exists: boolean; readonly lastSeq: number; readonly messages: number };

/** Where a stream stands; a stream that is missing stands at 0. */
export const streamInfo = (nats: NatsAccess, stream: string): Promise<StreamEnd> =>
  withJetStream(nats, async ({ jsm }) => {
    try {
      const { state } = await jsm.streams.info(stream);
      return { exists: true, lastSeq: state.last_seq, messages: state.messages };
    } catch (error) {
      if (/not found/i.test(String(error))) return { exists: false, lastSeq: 0, messages: 0 };
      throw error;
    }
  });
