/** For the writer's own tests: a nats-server and a database of one's own, writers in this process or as processes. */

import pg from 'pg';
import { onTestFinished } from 'vitest';
import type { EventElement, OutcomeReply } from '@chat/contracts/events';
import { evtStream } from '@chat/contracts/streams';
import { outcomeSubject } from '@chat/contracts/subjects';
import { type TeamId, partitionOf } from '@chat/contracts/ids';
import { systemClock } from '@chat/platform/clock';
import { silentLogger } from '@chat/platform/log';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import { getMessage, streamState } from '@chat/platform/nats/streams';
import { migrate } from '@chat/platform/postgres/migrate';
import { type AppProcess, spawnApp } from '@chat/testkit/processes/app-process';
import type { NatsServer } from '@chat/testkit/servers/nats-server';
import { freePort } from '@chat/testkit/servers/ports';
import { printTailIfFailed, testDatabase, testNats } from '@chat/testkit/servers/servers';
import { migrations } from '../migrations/migrations.ts';
import { type Writer, type WriterDeps, createWriter } from '../writer.ts';
import { type CommandMessage, makeCommand } from './commands.ts';

export type EventRow = {
  readonly id: number;
  readonly scope: string;
  readonly payload: string;
  readonly element: EventElement;
};

export type PubAck = { readonly seq: number; readonly duplicate: boolean };

const LONG_MS = 40_000;

/** Polls until the probe answers something; throws naming what was waited for and what was seen last. */
export const eventually = async <T>(
  what: string,
  probe: () => Promise<T | false | undefined>,
): Promise<T> => {
  const deadline = performance.now() + LONG_MS;
  for (;;) {
    let seen: unknown;
    try {
      const value = await probe();
      if (value !== false && value !== undefined) return value;
      seen = value;
    } catch (error) {
      seen = error;
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${LONG_MS} ms: ${what} (last: ${String(seen)})`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};

export type WriterRig = Awaited<ReturnType<typeof createRig>>;

export const createRig = async (
  options: { readonly partitionCount?: number; readonly databaseUrl?: string } = {},
) => {
  const { partitionCount = 1 } = options;
  const nats: NatsServer = await testNats();
  onTestFinished(() => nats[Symbol.asyncDispose]());
  const databaseUrl = options.databaseUrl ?? (await testDatabase());
  await migrate({ url: databaseUrl, migrations, log: silentLogger() });
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  pool.on('error', () => undefined);
  onTestFinished(() => pool.end());
  await pool.query('SELECT ensure_partitions($1)', [partitionCount]);
  const connect = async (role: 'gateway' | 'ops' | 'writer'): Promise<NatsHandle> => {
    const handle = await connectNats({
      servers: [nats.url],
      ...nats.credentials[role],
      name: `test ${role}`,
      inboxPrefix: role === 'ops' ? '_INBOX_ops' : `_INBOX_${role}`,
      log: silentLogger(),
    });
    onTestFinished(() => handle.close());
    return handle;
  };
  const gateway = await connect('gateway');
  const ops = await connect('ops');

  const query = async <Row>(text: string, values: unknown[] = []): Promise<Row[]> =>
    (await pool.query(text, values)).rows as Row[];

  const startWriter = async (over: Partial<WriterDeps> = {}): Promise<Writer> => {
    const handle = await connect('writer');
    const writer = createWriter({
      nats: handle,
      databaseUrl,
      instanceId: 'w1',
      streamReplicas: 1,
      clock: systemClock,
      log: silentLogger(),
      ...over,
    });
    await writer.start();
    onTestFinished(() => writer.stop());
    return writer;
  };

  const spawnWriter = async (
    instance: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<AppProcess> => {
    const { user, password } = nats.credentials.writer;
    const writer = await spawnApp({
      app: 'writer',
      from: 'source',
      env: {
        CHAT_ENV: 'test',
        LOG_LEVEL: 'debug',
        INSTANCE_ID: instance,
        NATS_URL: nats.url,
        NATS_USER: user,
        NATS_PASSWORD: password,
        PARTITIONS: String(partitionCount),
        HEALTH_PORT: String(await freePort()),
        DATABASE_URL: databaseUrl,
        ...env,
      },
    });
    printTailIfFailed(instance, writer.tail);
    onTestFinished(async () => {
      writer.resume();
      writer.kill('SIGKILL');
      await writer.exited;
    });
    return writer;
  };

  /** As a gateway does: Msg-Id and PubAck. Waits until the stream is there. */
  const send = (command: CommandMessage): Promise<PubAck> =>
    eventually(`accepting ${command.subject}`, async () => {
      const { seq, duplicate } = await gateway.js.publish(command.subject, command.body, {
        msgID: command.msgId,
      });
      return { seq, duplicate };
    });

  const outcome = async (command: CommandMessage, waitMs = 5_000): Promise<OutcomeReply> => {
    const { teamId, id: commandId, actor, hash } = command;
    const request = JSON.stringify({ teamId, commandId, actor, hash, waitMs });
    const subject = outcomeSubject(partitionOf(teamId));
    return eventually(`an answer to ${subject}`, async () => {
      const reply = (
        await gateway.nc.request(subject, request, { timeout: waitMs + 5_000 })
      ).json<OutcomeReply>();
      return reply.kind === 'unavailable' ? undefined : reply;
    });
  };

  const perform = async (command: CommandMessage): Promise<OutcomeReply> => {
    await send(command);
    return outcome(command);
  };

  const rows = async (p: number): Promise<readonly EventRow[]> =>
    (
      await query<{ id: string; scope: string; payload: string }>(
        'SELECT id, scope, payload FROM event_log WHERE p = $1 ORDER BY id',
        [p],
      )
    ).map(({ id, scope, payload }) => ({
      id: Number(id),
      scope,
      payload,
      element: JSON.parse(payload) as EventElement,
    }));

  const streamEvents = async (p: number): Promise<readonly { seq: number; payload: string }[]> => {
    const state = await streamState(ops.jsm, evtStream(p));
    if (!state.exists) return [];
    const found = [];
    for (let seq = state.firstSeq; seq <= state.lastSeq; seq += 1) {
      const message = await getMessage(ops.jsm, evtStream(p), { seq });
      if (message) found.push({ seq, payload: Buffer.from(message.data).toString() });
    }
    return found;
  };

  /** The one idea, checked: rows 1…n without a gap, and the stream holds the same bytes under the same numbers. */
  const consistent = (p: number): Promise<readonly EventRow[]> =>
    eventually(`log and stream of partition ${p} are the same`, async () => {
      const log = await rows(p);
      const stream = await streamEvents(p);
      const isGapless = log.every((row, i) => row.id === i + 1 && row.element.seq === row.id);
      const from = stream[0]?.seq ?? 1;
      const tail = log.filter((row) => row.id >= from);
      const isSame =
        tail.length === stream.length &&
        tail.every((row, i) => stream[i]!.seq === row.id && stream[i]!.payload === row.payload);
      if (!isGapless || !isSame)
        throw new Error(`log ${log.length} rows, stream ${stream.length} from ${from}`);
      return log;
    });

  const messages = async (p: number): Promise<readonly EventElement[]> =>
    (await consistent(p)).map((row) => row.element).filter((element) => element.type === 'message.sent');

  /** A team of `owner` and others with one public channel that all of them are in. */
  const createTeam = async (
    teamId: TeamId,
    owner: string,
    others: readonly string[] = [],
  ): Promise<string> => {
    await expectPersisted(makeCommand(teamId, owner, 'team.create', { name: 'Team' }));
    const channel = makeCommand(teamId, owner, 'channel.create', { kind: 'public', name: 'general' });
    await expectPersisted(channel);
    for (const userId of others) {
      await expectPersisted(makeCommand(teamId, owner, 'member.add', { userId }));
      await expectPersisted(makeCommand(teamId, userId, 'channel.join', { channelId: channel.id }));
    }
    return channel.id;
  };

  const expectPersisted = async (command: CommandMessage): Promise<EventElement> => {
    const reply = await perform(command);
    if (reply.kind !== 'persisted') throw new Error(`${command.subject}: ${JSON.stringify(reply)}`);
    return reply.event;
  };

  return {
    nats,
    databaseUrl,
    gateway,
    ops,
    connect,
    query,
    startWriter,
    spawnWriter,
    send,
    outcome,
    perform,
    expectPersisted,
    rows,
    streamEvents,
    consistent,
    messages,
    createTeam,
  };
};
