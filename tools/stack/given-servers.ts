/** Checks of servers that were given by DATABASE_URL, NATS_URL and MONGODB_URL: each answer is fine, or one sentence. */

import { connect } from 'node:net';
import { MONGO_MAJOR_MIN } from '@chat/testkit/servers/mongo-binary';
import { mongoFacts } from '@chat/testkit/servers/mongo-facts';
import { isNatsNewEnough, parseNatsVersion } from '@chat/testkit/servers/nats-binary';
import { type NatsCredentialsByRole, natsRoles } from '@chat/testkit/servers/nats-server';
import { Hint } from './hint.ts';
import { withoutPassword } from './report.ts';

const ANSWER_TIMEOUT_MS = 5_000;

/** The first line a nats-server sends: `INFO {…}`. */
const natsInfo = (host: string, port: number): Promise<{ readonly version: string }> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: ANSWER_TIMEOUT_MS });
    let text = '';
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new Hint(`No NATS server answers at ${host}:${port} (${reason}): start it, or unset NATS_URL.`));
    };
    socket.setEncoding('utf8');
    socket.once('timeout', () => fail('no answer'));
    socket.once('error', (error) => fail(error.message));
    socket.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\r\n');
      if (end < 0) return;
      socket.destroy();
      if (!text.startsWith('INFO ')) return fail('that is no NATS server');
      resolve(JSON.parse(text.slice(5, end)) as { version: string });
    });
  });

export const checkGivenNats = async (urls: string): Promise<void> => {
  for (const text of urls.split(',')) {
    const url = new URL(text.includes('://') ? text.trim() : `nats://${text.trim()}`);
    if (url.username || url.password)
      throw new Hint(
        'NATS_URL must hold no credentials: give them as NATS_<ROLE>_PASSWORD (npm start -- --help).',
      );
    const { version } = await natsInfo(url.hostname, Number(url.port || 4222));
    if (!isNatsNewEnough(parseNatsVersion(version) ?? []))
      throw new Hint(`The NATS server at ${url.host} is version ${version}: 2.14 or newer is needed.`);
  }
};

/** Roles of deploy/nats/accounts.conf; only those an app connects as must be given. */
export const givenNatsCredentials = (env: NodeJS.ProcessEnv): NatsCredentialsByRole => {
  const nameOf = (role: string): string => `NATS_${role.toUpperCase()}_PASSWORD`;
  const missing = ['gateway', 'writer', 'projector', 'api'].map(nameOf).filter((name) => !env[name]);
  if (missing.length > 0)
    throw new Hint(
      `NATS_URL is set, but not ${missing.join(', ')} (the users of deploy/nats/accounts.conf).`,
    );
  const entries = natsRoles.map((role) => [role, { user: role, password: env[nameOf(role)] ?? '' }]);
  return Object.fromEntries(entries) as NatsCredentialsByRole;
};

export const checkGivenMongo = async (url: string, answerTimeoutMs = ANSWER_TIMEOUT_MS): Promise<void> => {
  const at = withoutPassword(url);
  const { version, hasTransactions } = await mongoFacts(url, answerTimeoutMs).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Hint(`No MongoDB answers at ${at} (${reason}): start it, or unset MONGODB_URL.`);
  });
  if (Number(version.split('.')[0]) < MONGO_MAJOR_MIN)
    throw new Hint(`The MongoDB at ${at} is version ${version}: ${MONGO_MAJOR_MIN} or newer is needed.`);
  if (!hasTransactions)
    throw new Hint(
      `The MongoDB at ${at} is no replica set, which transactions need: start it with --replSet (one member will do).`,
    );
};
