/** `npm start` under the project's Node: parses what was asked for, starts the stack, and stops it on a signal. */

import { createSteps } from '../lib/steps.mjs';
import { delay } from '@chat/testkit/servers/ports';
import { ServerFault } from '@chat/testkit/servers/server-fault';
import { findPostgres } from '@chat/testkit/servers/postgres-binaries';
import { postgresDataDir } from '@chat/testkit/servers/postgres-data';
import { build, isBuildFresh } from './build.ts';
import { Hint } from './hint.ts';
import { createLocalStack, type LocalStack } from './local-stack.ts';
import { localPaths, makeFolders, readJson, removeLocalData, writeJson } from './local-state.ts';
import { parseOptions, type StartOptions, usage } from './options.ts';
import { choosePorts } from './port-plan.ts';
import { createProcessRecords, endLeftovers, type HeldLock, takeLock } from './process-records.ts';
import { reportLines, type StackSummary } from './report.ts';

const steps = createSteps();
/** One Ctrl-C may arrive twice (from the terminal and by npm); a second one after this long means "at once". */
const SECOND_SIGNAL_AFTER_MS = 1_000;
/** How long a start waits for an earlier one to stop. */
const STOP_WAIT_MS = 60_000;

let stack: LocalStack | undefined;
let lock: HeldLock | undefined;
let stopping: Promise<void> | undefined;
let stopAskedAtMs = 0;

const stopOnce = (): Promise<void> =>
  (stopping ??= (async () => {
    lock?.markStopping();
    await stack?.stop();
  })().finally(() => lock?.release()));

const onStopSignal = (why: string): void => {
  if (stopping) {
    if (Date.now() - stopAskedAtMs > SECOND_SIGNAL_AFTER_MS) {
      steps.say('ended at once; what is left is ended by the next start');
      process.exit(130);
    }
    return;
  }
  stopAskedAtMs = Date.now();
  steps.say(`\n${why}: everything is stopped (again: at once)`);
  stopOnce().then(
    () => {
      steps.say('stopped');
      process.exit(0);
    },
    (error: unknown) => {
      steps.say(`not everything stopped cleanly: ${String(error)}`);
      process.exit(1);
    },
  );
};

const reset = async (): Promise<void> => {
  const { runAs } = await findPostgres();
  removeLocalData(await postgresDataDir(localPaths.postgresData, runAs));
};

/** Waits for an earlier start that is stopping; one that runs is a Hint. */
const ownLock = async (): Promise<HeldLock> => {
  const first = takeLock();
  if (first.kind === 'taken') return first;
  const running = readJson<StackSummary>(localPaths.stack);
  const where = running ? ` at ${running.api}` : '';
  const refusal = new Hint(
    `It already runs from this checkout${where} (pid ${first.pid}): use that, or end it first (kill ${first.pid}).`,
  );
  if (!first.isStopping) throw refusal;
  return steps.step('wait until the earlier start has stopped', async () => {
    for (const deadline = Date.now() + STOP_WAIT_MS; Date.now() < deadline; await delay(50)) {
      const again = takeLock();
      if (again.kind === 'taken') return again;
    }
    throw refusal;
  });
};

const start = async (options: StartOptions): Promise<StackSummary> => {
  makeFolders();
  lock = await ownLock();
  const leftovers = await endLeftovers();
  if (leftovers.length > 0) steps.say(`  ended what an earlier start had left: ${leftovers.join(', ')}`);
  if (options.isReset) {
    await steps.step('forget all data (--reset)', reset);
    if (options.databaseUrl) steps.say('  the database of DATABASE_URL is not touched by --reset');
    if (options.mongodbUrl) steps.say('  the MongoDB of MONGODB_URL is not touched by --reset');
    makeFolders();
  }
  if (process.getuid?.() === 0) steps.say('  running as root: PostgreSQL runs as the user postgres');
  if (isBuildFresh()) steps.say('  build: nothing has changed since the last one');
  else await steps.step('build the apps and the page', build);
  const last = readJson<{ from: number }>(localPaths.ports)?.from;
  const { plan, note } = await choosePorts(options.portsFrom, last);
  if (note) steps.say(`  ${note}`);
  writeJson(localPaths.ports, { from: plan.from });
  if (stopping) throw new Hint('stopped while starting');
  stack = createLocalStack({ options, ports: plan, steps, records: createProcessRecords() });
  return stack.start();
};

const sentenceOf = (error: unknown): string => {
  if (error instanceof Hint || error instanceof ServerFault) return error.message;
  return `${error instanceof Error ? error.message : String(error)}\nThe logs are in .local/logs.`;
};

const main = async (): Promise<void> => {
  const parsed = parseOptions(process.argv.slice(2), process.env);
  if (parsed.kind === 'help') return steps.say(usage);
  if (parsed.kind === 'refused') {
    console.error(`npm start: ${parsed.reason}`);
    process.exit(2);
  }
  process.on('SIGINT', () => onStopSignal('Ctrl-C'));
  process.on('SIGTERM', () => onStopSignal('asked to end'));
  process.on('SIGHUP', () => onStopSignal('the terminal was closed'));
  process.on('disconnect', () => onStopSignal('npm start has ended'));
  process.stdout.on('error', () => {}); // a closed terminal; the signal above tells
  const startedAtMs = Number(process.env.CHAT_STARTED_AT_MS ?? Date.now());
  try {
    const summary = await start(parsed.options);
    if (stopping) return;
    for (const line of reportLines(summary)) steps.say(line);
    const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
    steps.say(`ready in ${seconds} s: ${summary.web ?? summary.api} (Ctrl-C stops everything)`);
  } catch (error) {
    if (stopping) return; // the stop is what made the start fail
    console.error(`npm start: ${sentenceOf(error)}`);
    await stopOnce().catch(() => {});
    process.exit(1);
  }
};

await main();
