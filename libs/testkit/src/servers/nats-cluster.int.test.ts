import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type NatsConnection, connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../checking/eventually.ts';
import { type NatsCluster, startNatsCluster } from './nats-cluster.ts';

let folder: string;
let cluster: NatsCluster;
let nc: NatsConnection;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chat-test-nats-cluster-'));
  cluster = await startNatsCluster({ dataDir: folder });
  const { user, password } = cluster.credentials.writer;
  nc = await connect({
    servers: cluster.url.split(','),
    user,
    pass: password,
    inboxPrefix: '_INBOX_writer',
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: 'EVT_0', subjects: ['evt.0.>'], num_replicas: 3 });
}, 60_000);
afterAll(async () => {
  await nc?.close();
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

const publish = (text: string): Promise<number> =>
  eventually(
    `${text} is stored`,
    async () => (await jetstream(nc, { timeout: 1_000 }).publish('evt.0.team.t', text, { msgID: text })).seq,
    { timeoutMs: 30_000 },
  );

it(
  'what was acknowledged outlives the leader of its stream, which rejoins',
  { timeout: 60_000 },
  async () => {
    expect(await publish('one')).toBe(1);
    const { leader } = await cluster.placement('EVT_0');
    const member = cluster.members.find(({ name }) => name === leader);
    await member?.server.kill();
    expect(await publish('two')).toBe(2);
    expect((await cluster.placement('EVT_0')).leader).not.toBe(leader);
    await member?.server.start();
    await cluster.settled();
    expect((await cluster.placement('EVT_0')).currentFollowers).toContain(leader);
  },
);

it('a leader that is told to step down gives way', { timeout: 60_000 }, async () => {
  const { leader } = await cluster.placement('EVT_0');
  await cluster.stepDown('EVT_0');
  await eventually(
    'another leads',
    async () => {
      const now = (await cluster.placement('EVT_0')).leader;
      return now !== undefined && now !== leader;
    },
    { timeoutMs: 20_000 },
  );
});
