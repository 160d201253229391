/**
 * What an operator chooses for a halted partition: `node apps/writer/dist/operator.js adopt|discard --partition <p>`
 * with the writer's DATABASE_URL, NATS_URL, NATS_USER and NATS_PASSWORD. See deploy/runbooks/partition-halted.md and divergence/operator-choice.ts.
 */

import { parseArgs } from 'node:util';
import { exitOnConfigError, readConfig } from '@chat/platform/config';
import { createLogger } from '@chat/platform/log';
import { connectNats } from '@chat/platform/nats/connect';
import { writerOptions } from './config.ts';
import { adoptStream, discard } from './divergence/operator-choice.ts';
import { createWriterStreams } from './streams/writer-streams.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { partition: { type: 'string', short: 'p' } },
});
const [choice] = positionals;
const partition = Number(values.partition);
if ((choice !== 'adopt' && choice !== 'discard') || !Number.isInteger(partition) || partition < 0) {
  process.stderr.write('usage: operator adopt|discard --partition <number>\n');
  process.exit(64);
}

const { DATABASE_URL, NATS_URL, NATS_USER, NATS_PASSWORD, STREAM_REPLICAS } = writerOptions;
const config = exitOnConfigError(() =>
  readConfig({ DATABASE_URL, NATS_URL, NATS_USER, NATS_PASSWORD, STREAM_REPLICAS }, process.env),
);
const nats = await connectNats({
  servers: config.NATS_URL,
  user: config.NATS_USER,
  password: config.NATS_PASSWORD,
  name: 'writer operator',
  inboxPrefix: '_INBOX_writer',
  log: createLogger({ app: 'writer-operator', instance: String(process.pid), level: 'warn' }),
});
const deps = {
  databaseUrl: config.DATABASE_URL,
  streams: createWriterStreams(nats.jsm, { replicas: config.STREAM_REPLICAS }),
};
const result = choice === 'adopt' ? await adoptStream(deps, partition) : await discard(deps, partition);
process.stdout.write(`${result.message}\n`);
await nats.close();
process.exitCode = result.ok ? 0 : 1;
