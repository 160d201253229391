/** Real servers and a log that the test writes as the writer would: rows of event_log, appended to EVT_<p>. */

import { membersStream, evtStream } from '@chat/contracts/streams';
import type { MembersPosition, MembershipView } from '@chat/contracts/events';
import type { TeamId, UserId } from '@chat/contracts/ids';
import { evtSubject, mbrPositionSubject, mbrSubject } from '@chat/contracts/subjects';
import { createLogger } from '@chat/platform/log';
import { type Metrics, createMetrics } from '@chat/platform/metrics';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { ensureEvtStream, getMessage, streamState } from '@chat/platform/nats/streams';
import { createPool } from '@chat/platform/postgres/pool';
import type { ReadEvent, ReadModel } from '@chat/read-model/port';
import { createPostgresReadModel } from '@chat/read-model/postgres/postgres-read-model';
import { openPostgresStore } from '@chat/read-model/postgres/store';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import type pg from 'pg';
import { readProjectorConfig } from '../config.ts';
import { createEventLog } from '../partition/event-log.ts';
import { type Projector, createProjector } from '../projector.ts';

export const partition = 3;
const PARTITION_COUNT = 4;

/** The two tables of the write model that a projector reads, as the writer's migration makes them. */
const writeTables = `
  CREATE TABLE partition (p smallint PRIMARY KEY, epoch text NOT NULL);
  CREATE TABLE event_log (p smallint NOT NULL, id bigint NOT NULL, team_id text NOT NULL, scope text NOT NULL,
    payload text NOT NULL, PRIMARY KEY (p, id))`;

export type World = {
  readonly pool: pg.Pool;
  readonly readModel: ReadModel;
  readonly writer: NatsHandle;
  readonly ops: NatsHandle;
  /** Commits and appends events number `from + 1` … of the history. */
  readonly publish: (events: readonly ReadEvent[]) => Promise<void>;
  readonly commit: (events: readonly ReadEvent[]) => Promise<void>;
  readonly append: (events: readonly ReadEvent[]) => Promise<void>;
  readonly makeStream: (epoch?: string, firstSeq?: number) => Promise<void>;
  readonly dropStream: () => Promise<void>;
  readonly setEpoch: (epoch: string) => Promise<void>;
  /** A projector in this process, on its own connection; stopped by `close`. */
  readonly startProjector: (env?: Record<string, string>, metrics?: Metrics) => Promise<Projector>;
  readonly env: Record<string, string>;
  readonly view: (teamId: TeamId, userId: UserId) => Promise<MembershipView | undefined>;
  readonly position: () => Promise<MembersPosition | undefined>;
  readonly appliedSeq: () => Promise<number>;
  readonly close: () => Promise<void>;
};

const log = createLogger({ app: 'test', instance: 'projector', level: 'silent' });
const payloadOf = (read: ReadEvent): string => JSON.stringify(read.event);

export const createWorld = async (nats: NatsServer, databaseUrl: string): Promise<World> => {
  const connect = (role: 'writer' | 'ops' | 'projector') =>
    connectNats({
      servers: [nats.url],
      ...nats.credentials[role],
      name: `test ${role}`,
      inboxPrefix: `_INBOX_${role}`,
      log,
    });
  const pool = createPool({ url: databaseUrl, max: 8, name: 'test', statementTimeoutMs: 10_000, log });
  await pool.query(writeTables);
  const writer = await connect('writer');
  const ops = await connect('ops');
  const closers: (() => Promise<unknown>)[] = [];
  const store = openPostgresStore({
    url: databaseUrl,
    maxCount: 8,
    name: 'test-store',
    timeoutMs: 10_000,
    log,
  });
  await store.prepareVersion({ view: 'core', version: 1 });
  const readModel = createPostgresReadModel({ pool });

  const env: Record<string, string> = {
    CHAT_ENV: 'test',
    LOG_LEVEL: 'warn',
    INSTANCE_ID: 'p1',
    NATS_URL: nats.url,
    NATS_USER: nats.credentials.projector.user,
    NATS_PASSWORD: nats.credentials.projector.password,
    PARTITIONS: String(PARTITION_COUNT),
    DATABASE_URL: databaseUrl,
    POSITION_INTERVAL_MS: '20',
    IDLE_CHECK_MS: '200',
  };

  const commit = async (events: readonly ReadEvent[]): Promise<void> => {
    await pool.query(
      `INSERT INTO event_log SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[])`,
      [
        partition,
        events.map(({ event }) => event.seq),
        events.map(({ teamId }) => teamId),
        events.map(({ scope }) => scope),
        events.map(payloadOf),
      ],
    );
  };
  const append = async (events: readonly ReadEvent[]): Promise<void> => {
    const acks = events.map((read) => {
      const lastSequence = read.event.seq - 1;
      return writer.js.publish(evtSubject(read.teamId, read.scope), payloadOf(read), {
        expect: { lastSequence },
      });
    });
    await Promise.all(acks);
  };
  const valueAt = async <T>(subject: string): Promise<T | undefined> => {
    const message = await getMessage(ops.jsm, membersStream, { lastBySubject: subject });
    return message && (JSON.parse(Buffer.from(message.data).toString()) as T);
  };
  const setEpoch = async (epoch: string): Promise<void> => {
    await pool.query(`INSERT INTO partition VALUES ($1, $2) ON CONFLICT (p) DO UPDATE SET epoch = $2`, [
      partition,
      epoch,
    ]);
  };

  return {
    pool,
    readModel,
    writer,
    ops,
    env,
    commit,
    append,
    setEpoch,
    publish: async (events) => {
      await commit(events);
      await append(events);
    },
    makeStream: async (epoch = 'epoch-1', firstSeq = 1) => {
      await setEpoch(epoch);
      await ensureEvtStream(writer.jsm, partition, { epoch, firstSeq });
    },
    dropStream: async () => {
      if ((await streamState(writer.jsm, evtStream(partition))).exists)
        await writer.jsm.streams.delete(evtStream(partition));
    },
    startProjector: async (over = {}, metrics = createMetrics()) => {
      const own = await connect('projector');
      const config = readProjectorConfig({ ...env, ...over });
      const projector = createProjector({
        config,
        nats: own,
        store,
        eventLog: createEventLog(pool),
        metrics,
        log,
      });
      closers.push(async () => {
        await projector.stop();
        await own.close();
      });
      await projector.start();
      return projector;
    },
    view: (teamId, userId) => valueAt<MembershipView>(mbrSubject(teamId, userId)),
    position: () => valueAt<MembersPosition>(mbrPositionSubject(partition)),
    appliedSeq: async () => (await readModel.checkpoint(partition))?.seq ?? 0,
    close: async () => {
      for (const close of closers.reverse()) await close();
      await writer.close();
      await ops.close();
      await store.close();
      await pool.end();
    },
  };
};
