/** A connection of one role to a test's nats-server, made as the apps make theirs. */

import { readFileSync, readdirSync } from 'node:fs';
import { createLogger, silentLogger } from '@chat/platform/log';
import { type NatsHandle, connectNats } from '@chat/platform/nats/connect';
import type { NatsRole, NatsServer } from '@chat/testkit/servers/nats-server';

export const inboxOf = (role: NatsRole): string => `_INBOX_${role}`;

export const connectAs = (server: NatsServer, role: NatsRole): Promise<NatsHandle> => {
  const { user, password } = server.credentials[role];
  return connectNats({
    servers: [server.url],
    user,
    password,
    name: `test-${role}`,
    inboxPrefix: inboxOf(role),
    log: testLog(),
  });
};

/** Silent unless TEST_LOG is set, for looking into a failing test. */
export const testLog = () =>
  process.env.TEST_LOG === undefined
    ? silentLogger()
    : createLogger({ app: 'test', instance: 'test', level: 'debug' });

/** Polls `condition` until it holds; fails with what it last said after `timeoutMs`. */
export const until = async (
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 15_000,
) => {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** SIGSTOP, and only goes on when every thread of the server stands still: until then it may still answer. */
export const pauseWhole = async (server: NatsServer): Promise<void> => {
  server.pause();
  const threads = `/proc/${server.pid}/task`;
  await until(
    () => readdirSync(threads).every((id) => / T /.test(readFileSync(`${threads}/${id}/stat`, 'utf8'))),
    'server stopped',
  );
};
