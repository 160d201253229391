/**
 * What an operator asks of the read side, on the command line: the handlers of `chat.ops.<name>`, run by this process
 * itself with the projector's environment. `node apps/projector/dist/cli.js rebuild core`; without a name: what there is.
 * Exit codes: 0 done, 1 refused or failed, 64 not understood.
 */

import { exitOnConfigError } from '@chat/platform/config';
import { createLogger } from '@chat/platform/log';
import { createMetrics } from '@chat/platform/metrics';
import { connectNats } from '@chat/platform/nats/connect';
import { WRITE_TIMEOUT_MS, createPool } from '@chat/platform/postgres/pool';
import { openReadStore } from '@chat/read-model/open-read-store';
import { readProjectorConfig, readStoreOf } from './config.ts';
import { parseCommandLine, usage } from './ops/command-line.ts';
import type { OpsHandlers } from './ops/ops-handler.ts';
import { createOpsHandlers } from './ops/ops-handlers.ts';
import { answerJson, runHandler } from './ops/run-handler.ts';
import { createEventLog } from './partition/event-log.ts';
import { watchRebuild } from './rebuild/watch-rebuild.ts';

const POOL_MAX_COUNT = 4;
const RUN_MAX_MS = 24 * 3_600_000;

const open = async () => {
  const config = exitOnConfigError(() => readProjectorConfig(process.env));
  const log = createLogger({ app: 'projector-cli', instance: String(process.pid), level: 'warn' });
  const nats = await connectNats({
    servers: config.NATS_URL,
    user: config.NATS_USER,
    password: config.NATS_PASSWORD,
    name: 'projector operator',
    inboxPrefix: '_INBOX_projector',
    log,
  });
  const store = openReadStore({
    ...readStoreOf(config),
    maxCount: POOL_MAX_COUNT,
    name: 'chat-projector-cli',
    timeoutMs: WRITE_TIMEOUT_MS,
    metrics: createMetrics(),
    log,
  });
  const logPool = createPool({
    url: config.DATABASE_URL,
    max: POOL_MAX_COUNT,
    name: 'chat-projector-cli-log',
    statementTimeoutMs: WRITE_TIMEOUT_MS,
    log,
  });
  const handlers = createOpsHandlers({ config, nats, store, eventLog: createEventLog(logPool), log });
  const close = async (): Promise<void> => {
    await nats.close();
    await Promise.all([store.close(), logPool.end()]);
  };
  return { handlers, log, close };
};

const print = (line: string): void => void process.stdout.write(`${line}\n`);

const run = async (handlers: OpsHandlers, log: ReturnType<typeof createLogger>): Promise<number> => {
  const command = parseCommandLine(handlers, process.argv.slice(2));
  if (command.kind === 'not_understood') {
    process.stderr.write(`${command.message}\n${usage(handlers)}\n`);
    return 64;
  }
  const { name, input } = command;
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  const deps = { handlers, maxMs: RUN_MAX_MS, signal: abort.signal, log };
  const answer = await runHandler(deps, name, input);
  print(JSON.stringify(answerJson(answer), undefined, 2));
  if (answer.kind === 'refused') return 1;
  // Begun: whatever becomes of this process, the projectors carry it on.
  if (name === 'rebuild') return (await watchRebuild(deps, input, answer.value, print)) ? 0 : 1;
  return 0;
};

const { handlers, log, close } = await open();
try {
  process.exitCode = await run(handlers, log);
} finally {
  await close();
}
