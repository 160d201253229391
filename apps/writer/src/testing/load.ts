/**
 * Load on a writer alone: `node --conditions=@chat/source apps/writer/src/testing/load.ts [messages] [in flight] [channels] [--prof]`.
 * Publishes straight into CMD and counts what comes out of EVT; prints the rate and the CPU of each process.
 */

import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evtStream } from '@chat/contracts/streams';
import { silentLogger } from '@chat/platform/log';
import { connectNats } from '@chat/platform/nats/connect';
import { createOrderedFeed } from '@chat/platform/nats/ordered-feed';
import { createWindowedPublisher } from '@chat/platform/nats/publisher';
import { msgIdHeader } from '@chat/platform/nats/raw-headers';
import { startNats } from '@chat/testkit/servers/nats-server';
import { startPostgres } from '@chat/testkit/servers/postgres-server';
import { freePort } from '@chat/testkit/servers/ports';
import { spawnApp } from '@chat/testkit/processes/app-process';
import { migrateDatabase } from '@chat/testkit/processes/migrate-database';
import { makeCommand, newTeamId } from './commands.ts';

const [total = 100_000, inFlight = 512, channelCount = 100] = process.argv
  .slice(2)
  .map(Number)
  .filter(Number.isFinite);
const isProfiling = process.argv.includes('--prof');
const PARTITION_COUNT = 4;
const TEXT = 'x'.repeat(200);

const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
};

const postgresCpuMs = (pid: number): number => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean);
  return [pid, ...children.map(Number)].reduce((sum, one) => sum + cpuMs(one), 0);
};

const dir = await mkdtemp(join(tmpdir(), 'chat-writer-load-'));
const nats = await startNats({ dataDir: join(dir, 'nats') });
const postgres = await startPostgres({ dataDir: join(dir, 'pg') });
const databaseUrl = await postgres.createDatabase('load');
await migrateDatabase({ databaseUrl, partitionCount: PARTITION_COUNT, from: 'source', logLevel: 'warn' });
const { user, password } = nats.credentials.writer;
const writer = await spawnApp({
  app: 'writer',
  from: 'source',
  env: {
    CHAT_ENV: 'test',
    LOG_LEVEL: 'info',
    INSTANCE_ID: 'load',
    NATS_URL: nats.url,
    NATS_USER: user,
    NATS_PASSWORD: password,
    PARTITIONS: String(PARTITION_COUNT),
    HEALTH_PORT: String(await freePort()),
    DATABASE_URL: databaseUrl,
  },
  nodeArgs: isProfiling ? ['--cpu-prof', `--cpu-prof-dir=${tmpdir()}`] : [],
  onLine: (line) => console.log(line),
});
await writer.ready();

const connect = (role: 'gateway' | 'projector') =>
  connectNats({
    servers: [nats.url],
    ...nats.credentials[role],
    name: `load ${role}`,
    inboxPrefix: `_INBOX_${role}`,
    log: silentLogger(),
  });
const sending = await connect('gateway');
const reading = await connect('projector');
const publisher = createWindowedPublisher({
  nc: sending.nc,
  inboxPrefix: '_INBOX_gateway',
  maxInFlight: 16_384,
  timeoutMs: 10_000,
});

let seen = 0;
let onSeen: () => void = () => {};
const feeds = Array.from({ length: PARTITION_COUNT }, (_, p) =>
  createOrderedFeed({
    nc: reading.nc,
    jsm: reading.jsm,
    stream: evtStream(p),
    startSeq: 1,
    namePrefix: `load_${p}`,
    onMessage: () => {
      seen += 1;
      onSeen();
    },
    log: silentLogger(),
  }),
);
await Promise.all(feeds.map((feed) => feed.start()));

const send = (command: ReturnType<typeof makeCommand>): void => {
  const sent = publisher.publish(
    command.subject,
    Buffer.from(command.body),
    msgIdHeader(command.msgId),
    (result) => {
      if (result.kind !== 'ok') console.log('not accepted', result);
    },
  );
  if (!sent) throw new Error('more in flight than the window allows');
};
const waitUntilSeen = (count: number): Promise<void> =>
  new Promise((resolve) => {
    const check = (): void => {
      if (seen >= count) resolve();
    };
    onSeen = check;
    check();
  });

/** A team in each partition with its share of the channels. */
const targets: { teamId: ReturnType<typeof newTeamId>; channelId: string }[] = [];
let expected = 0;
for (let p = 0; p < PARTITION_COUNT; p += 1) {
  const teamId = newTeamId(p);
  send(makeCommand(teamId, 'owner', 'team.create', { name: `team ${p}` }));
  expected += 3;
  for (let i = p; i < channelCount; i += PARTITION_COUNT) {
    const create = makeCommand(teamId, 'owner', 'channel.create', { kind: 'public', name: `channel ${i}` });
    send(create);
    expected += 3;
    targets.push({ teamId, channelId: create.id });
  }
}
await waitUntilSeen(expected);

const round = async (count: number): Promise<void> => {
  const base = seen;
  let sent = 0;
  const pids = { nats: nats.pid, writer: writer.pid };
  const before = {
    nats: cpuMs(pids.nats),
    writer: cpuMs(pids.writer),
    postgres: postgresCpuMs(postgres.pid),
  };
  const self = process.cpuUsage();
  const startedAtMs = performance.now();
  await new Promise<void>((resolve) => {
    const pump = (): void => {
      while (sent < count && sent - (seen - base) < inFlight) {
        const target = targets[sent % targets.length]!;
        send(
          makeCommand(target.teamId, 'owner', 'message.send', { channelId: target.channelId, text: TEXT }),
        );
        sent += 1;
      }
      if (seen - base >= count) resolve();
    };
    onSeen = pump;
    pump();
  });
  const ms = performance.now() - startedAtMs;
  const used = process.cpuUsage(self);
  const per = (spentMs: number): string => ((spentMs * 1000) / count).toFixed(1);
  console.log(
    `${count} messages, ${inFlight} in flight, ${targets.length} channels: ${Math.round((count / ms) * 1000)} msg/s; CPU µs a message:`,
    `nats ${per(cpuMs(pids.nats) - before.nats)}, writer ${per(cpuMs(pids.writer) - before.writer)},`,
    `postgres ${per(postgresCpuMs(postgres.pid) - before.postgres)}, load client ${per((used.user + used.system) / 1000)}`,
  );
};
await round(Math.min(20_000, total));
for (let i = 0; i < 3; i += 1) await round(total);

await Promise.all(feeds.map((feed) => feed.stop()));
publisher.close();
await Promise.all([sending.close(), reading.close()]);
await writer.stop();
await nats.stop();
await postgres.stop();
await rm(dir, { recursive: true, force: true });
process.exit(0);
