import { connect } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/nats-core';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isNatsNewEnough, parseNatsVersion } from './nats-binary.ts';
import { type NatsRole, type NatsServer, natsRoles, startNats } from './nats-server.ts';
import { testNats } from './servers.ts';

let server: NatsServer;
const connections = new Map<NatsRole, NatsConnection>();
const open = async (role: NatsRole): Promise<NatsConnection> => {
  const { user, password } = server.credentials[role];
  return connect({
    servers: server.url,
    user,
    pass: password,
    inboxPrefix: `_INBOX_${role}`,
    reconnect: true,
    reconnectTimeWait: 50,
    maxReconnectAttempts: -1,
  });
};
const as = (role: NatsRole): NatsConnection => {
  const nc = connections.get(role);
  if (!nc) throw new Error(`no connection as ${role}`);
  return nc;
};

/** The broker tells a violation on the connection's status, after everything that was sent before. */
const violation = async (nc: NatsConnection, act: () => void): Promise<string | undefined> => {
  const status = nc.status();
  act();
  const heard = (async () => {
    for await (const event of status) {
      if (event.type === 'error') return String(event.error);
      if (event.type === 'close') return undefined;
    }
    return undefined;
  })();
  await nc.flush();
  // The error of a refused publish is written before the PONG of the flush.
  const result = await Promise.race([heard, Promise.resolve().then(() => nc.rtt().then(() => undefined))]);
  return result;
};

beforeAll(async () => {
  server = await testNats();
  for (const role of natsRoles) connections.set(role, await open(role));
  const jsm = await jetstreamManager(as('writer'));
  await jsm.streams.add({ name: 'EVT_0', subjects: ['evt.0.>'], allow_direct: true });
  await jsm.streams.add({ name: 'CMD_0', subjects: ['cmd.0.>'], allow_direct: true });
  await jetstream(as('writer')).publish('evt.0.team.t', 'one');
});
afterAll(async () => {
  for (const nc of connections.values()) await nc.close();
  await server[Symbol.asyncDispose]();
});

describe('accounts and permissions', () => {
  it.each([
    ['gateway', 'evt.0.team.t'],
    ['projector', 'evt.0.team.t'],
    ['api', 'evt.0.team.t'],
    ['ops', 'evt.0.team.t'],
    ['writer', 'cmd.0.team.message.send'],
    ['projector', 'cmd.0.team.message.send'],
    ['gateway', 'mbr.0.team.user'],
    ['api', 'mbr.0.team.user'],
    ['writer', 'mbr.0.team.user'],
    ['api', 'typing.0.team.c'],
    ['writer', 'typing.0.team.c'],
    ['projector', 'writer.0.outcome'],
    ['gateway', '$JS.API.STREAM.CREATE.EVT_9'],
    ['gateway', '$JS.API.STREAM.DELETE.EVT_0'],
    ['gateway', '$JS.API.STREAM.PURGE.CMD_0'],
    ['projector', '$JS.API.STREAM.DELETE.EVT_0'],
    ['projector', '$JS.API.STREAM.CREATE.EVT_9'],
    ['api', '$JS.API.STREAM.UPDATE.CMD_0'],
    ['api', '$JS.API.STREAM.MSG.DELETE.EVT_0'],
  ] as const)('%s may not publish on %s', async (role, subject) => {
    const refused = await violation(as(role), () => as(role).publish(subject, '{}'));
    expect(refused).toContain('Permissions Violation for Publish');
  });

  it.each([
    ['gateway', 'evt.>'],
    ['gateway', '_INBOX_writer.>'],
    ['gateway', 'writer.0.outcome'],
    ['api', 'cmd.>'],
    ['projector', 'typing.>'],
    ['writer', '>'],
  ] as const)('%s may not subscribe to %s', async (role, subject) => {
    const refused = await violation(as(role), () => as(role).subscribe(subject, { callback: () => {} }));
    expect(refused).toContain('Permissions Violation for Subscription');
  });

  it.each([
    ['gateway', 'cmd.0.team.message.send'],
    ['api', 'cmd.0.team.message.send'],
    ['writer', 'evt.0.team.t'],
  ] as const)('%s publishes on %s and is told that it is stored', async (role, subject) => {
    expect((await jetstream(as(role)).publish(subject, '{}')).seq).toBeGreaterThan(0);
  });

  it.each(['gateway', 'projector'] as const)(
    '%s reads events by an ordered push consumer, an ordered pull consumer and direct gets',
    async (role) => {
      const js = jetstream(as(role));
      const consumer = await js.consumers.getPushConsumer('EVT_0', { name_prefix: `${role}-0` });
      const messages = await consumer.consume();
      for await (const message of messages) {
        expect(message.seq).toBe(1);
        break;
      }
      await messages.close();
      const pull = await js.consumers.get('EVT_0');
      expect((await pull.next({ expires: 2000 }))?.seq).toBe(1);
      const jsm = await jetstreamManager(as(role));
      expect((await jsm.streams.info('EVT_0')).state.first_seq).toBe(1);
      expect((await jsm.direct.getMessage('EVT_0', { seq: 1 }))?.string()).toBe('one');
    },
  );

  it('the projector makes and fills MEMBERS, the gateway and the api read it', async () => {
    const jsm = await jetstreamManager(as('projector'));
    const config = { name: 'MEMBERS', subjects: ['mbr.>'], allow_direct: true, max_msgs_per_subject: 1 };
    await jsm.streams.add(config);
    await jsm.streams.update('MEMBERS', config);
    await jetstream(as('projector')).publish('mbr.0.team.alice', 'x');
    for (const role of ['gateway', 'api'] as const) {
      const direct = (await jetstreamManager(as(role))).direct;
      expect((await direct.getMessage('MEMBERS', { last_by_subj: 'mbr.0.team.alice' }))?.string()).toBe('x');
    }
  });

  it('an outcome request by gateway or api is answered by the writer into their own inbox', async () => {
    const subscription = as('writer').subscribe('writer.0.outcome', {
      callback: (_error, message) => void message.respond('done'),
    });
    await as('writer').flush();
    for (const role of ['gateway', 'api'] as const)
      expect((await as(role).request('writer.0.outcome', '{}', { timeout: 2000 })).string()).toBe('done');
    subscription.unsubscribe();
  });

  it('the writer purges commands', async () => {
    const jsm = await jetstreamManager(as('writer'));
    expect((await jsm.streams.purge('CMD_0', { seq: 1 })).success).toBe(true);
  });

  it('typing goes from gateway to gateway', async () => {
    const other = await open('gateway');
    const subscription = other.subscribe('typing.0.>', { max: 1 });
    await other.flush();
    as('gateway').publish('typing.0.team.c', 'x');
    for await (const message of subscription) expect(message.string()).toBe('x');
    await other.close();
  });

  it('nobody without a password, nobody with a wrong one', async () => {
    await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow(/authorization/i);
    await expect(
      connect({ servers: server.url, user: 'writer', pass: 'guess', reconnect: false }),
    ).rejects.toThrow(/authorization/i);
  });
});

describe('the server', () => {
  it('keeps its port and what was stored through kill -9', async () => {
    const jsm = await jetstreamManager(as('writer'));
    const before = (await jsm.streams.info('EVT_0')).state.last_seq;
    const { url, pid } = server;
    await server.kill();
    expect(server.isRunning()).toBe(false);
    await server.start();
    expect(server.url).toBe(url);
    expect(server.pid).not.toBe(pid);
    const nc = await open('writer');
    expect((await (await jetstreamManager(nc)).streams.info('EVT_0')).state.last_seq).toBe(before);
    await nc.close();
  });

  it('refuses a taken port with a code', async () => {
    await expect(startNats({ dataDir: `${server.dataDir}/second`, port: server.port })).rejects.toMatchObject(
      {
        code: 'PORT_TAKEN',
      },
    );
  });

  it.each([
    ['nats-server: v2.9.10', false],
    ['nats-server: v2.13.9', false],
    ['nats-server: v2.14.0', true],
    ['nats-server: v2.15.1', true],
    ['nats-server: v3.0.0-RC.1', true],
  ])('%s: new enough is %s', (text, isEnough) => {
    expect(isNatsNewEnough(parseNatsVersion(text) ?? [])).toBe(isEnough);
  });
});
