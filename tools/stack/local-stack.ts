/**
 * The local stack: servers and apps as processes of their own, as in production, supervised by this one.
 *
 * Start order: PostgreSQL, NATS, MongoDB (if it holds the read model), migrations, then the apps (they wait for each other's streams by themselves).
 * Stop order: gateways (their clients are told where to go), api, writer, projector, MongoDB, NATS, PostgreSQL. A stop may
 * come in the middle of a start: what is up by then is stopped, what comes up later is stopped by its own start.
 */

import { existsSync, statfsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createDevIssuer } from '@chat/platform/auth/dev-issuer';
import {
  type AppHandle,
  type AppName,
  createAppHandle,
  repositoryRoot,
} from '@chat/testkit/processes/app-process';
import { migrateDatabase } from '@chat/testkit/processes/migrate-database';
import { seedTeam } from '@chat/testkit/processes/seed-team';
import { type StackFacts, TOKEN_AUDIENCE, environmentOf } from '@chat/testkit/processes/stack-environment';
import {
  platformPolicy,
  supervise,
  type Supervisable,
  type Supervised,
  type SupervisorEvent,
} from '@chat/testkit/processes/supervisor';
import type { Steps } from '../lib/steps.mjs';
import { demoTeam } from './demo-team.ts';
import { Hint } from './hint.ts';
import { startBroker, startDatabase, startReadStore } from './local-servers.ts';
import { loadSecrets, localPaths, writeJson } from './local-state.ts';
import { createLogFile } from './log-file.ts';
import type { StartOptions } from './options.ts';
import type { PortPlan } from './port-plan.ts';
import type { ProcessRecords } from './process-records.ts';
import { type StackSummary, withoutPassword } from './report.ts';

export type LocalStackDeps = {
  readonly options: StartOptions;
  readonly ports: PortPlan;
  readonly steps: Steps;
  readonly records: ProcessRecords;
};

export type LocalStack = {
  readonly start: () => Promise<StackSummary>;
  readonly stop: () => Promise<void>;
};

/** mongod makes 200 MB of journal in advance, and may have to be fetched. */
const FREE_MIN_MIB = { postgres: 200, mongodb: 600 } as const;
const PARTITION_COUNT = 4;
/** A person waits for Ctrl-C; production gives its clients 30 s. */
const DRAIN_GRACE_MS = 2_000;
const APP_STOP_GRACE_MS = 10_000;
const servers = ['mongod', 'nats', 'postgres'];
const stopOrder = ['gateway-1', 'gateway-2', 'api-1', 'writer-1', 'projector-1', ...servers];

export const createLocalStack = ({ options, ports, steps, records }: LocalStackDeps): LocalStack => {
  const units = new Map<string, Supervised>();
  let isStopping = false;
  let summary: StackSummary | undefined;

  const pids = (): Record<string, number> => ({
    starter: process.pid,
    ...Object.fromEntries([...units].map(([name, unit]) => [name, unit.pid])),
  });
  const writeStackFile = (): void => {
    if (summary) writeJson(localPaths.stack, { ...summary, pids: pids() });
  };
  const logOf = (name: string): string => join(localPaths.logs, `${name}.log`);
  const onEvent = (event: SupervisorEvent): void => {
    if (isStopping) return;
    const log = relative(repositoryRoot, logOf(event.name));
    switch (event.kind) {
      case 'died':
        steps.say(
          `${event.name} has died; it is started again in ${event.restartInMs / 1000} s (its log: ${log})`,
        );
        break;
      case 'unhealthy':
        steps.say(`${event.name} says that only a restart helps it; it gets one (its log: ${log})`);
        break;
      case 'restarted':
        steps.say(`${event.name} runs again (pid ${event.pid})`);
        writeStackFile();
        break;
      case 'restart-failed':
        steps.say(
          `${event.name} could not be started: ${event.reason} Tried again in ${event.restartInMs / 1000} s.`,
        );
        break;
    }
  };
  const add = async (name: string, target: Supervisable): Promise<void> => {
    const unit = supervise(name, target, platformPolicy, onEvent);
    units.set(name, unit);
    await unit.start();
    if (isStopping) await unit.stop();
  };
  const hooks = (name: string) => ({
    onLine: createLogFile(logOf(name)).write,
    onPid: (pid: number): void => records.put(name, pid),
  });

  const startApps = async (facts: StackFacts): Promise<void> => {
    const plan: readonly (readonly [AppName, string, number, number, number | undefined])[] = [
      ['writer', 'writer-1', ports.health[2], ports.metrics[2], undefined],
      ['projector', 'projector-1', ports.health[3], ports.metrics[3], undefined],
      ['api', 'api-1', ports.health[4], ports.metrics[4], ports.api],
      ['gateway', 'gateway-1', ports.health[0], ports.metrics[0], ports.gateways[0]],
      ['gateway', 'gateway-2', ports.health[1], ports.metrics[1], ports.gateways[1]],
    ];
    const handles: AppHandle[] = [];
    for (const [app, instance, healthPort, metricsPort, port] of plan) {
      const own = { app, instance, healthPort, metricsPort, ...(port === undefined ? {} : { port }) };
      const drain: Record<string, string> =
        app === 'gateway' ? { DRAIN_GRACE_MS: String(DRAIN_GRACE_MS) } : {};
      const env = { ...environmentOf(facts, own), ...drain };
      const handle = createAppHandle({
        app,
        env,
        from: 'dist',
        stopGraceMs: APP_STOP_GRACE_MS,
        ...hooks(instance),
      });
      handles.push(handle);
      await add(instance, handle);
    }
    await Promise.all(handles.map((handle) => handle.ready()));
  };

  const start = async (): Promise<StackSummary> => {
    const { bavail, bsize } = statfsSync(localPaths.folder);
    const freeMiB = Math.floor((bavail * bsize) / 2 ** 20);
    const neededMiB = FREE_MIN_MIB[options.readStore];
    if (freeMiB < neededMiB)
      throw new Hint(`Only ${freeMiB} MB of disk are free: ${neededMiB} MB are needed.`);
    const secrets = loadSecrets();
    const deps = { options, ports, steps, hooks, add };
    const databaseUrl = await startDatabase(deps);
    const broker = await startBroker(deps, secrets);
    const mongodbUrl = await startReadStore(deps);
    const issuer = await createDevIssuer({
      keyFile: localPaths.devKey,
      jwksFile: localPaths.devJwks,
      audience: TOKEN_AUDIENCE,
    });
    await steps.step('migrate the database', () =>
      migrateDatabase({ databaseUrl, partitionCount: PARTITION_COUNT, from: 'dist' }),
    );
    const apiUrl = `http://127.0.0.1:${ports.api}`;
    const gatewayUrls = ports.gateways.map((port) => `ws://127.0.0.1:${port}`);
    const webRoot = join(repositoryRoot, 'apps/web/dist');
    const facts: StackFacts = {
      chatEnv: 'development',
      logLevel: process.env.LOG_LEVEL ?? 'info',
      ...broker,
      partitionCount: PARTITION_COUNT,
      databaseUrl,
      ...(mongodbUrl === undefined ? {} : { mongodbUrl }),
      devJwksFile: localPaths.devJwks,
      devKeyFile: localPaths.devKey,
      teamIdSecret: secrets.teamIdSecret,
      webRoot,
      gatewayUrls,
      allowedOrigins: [apiUrl, `http://localhost:${ports.api}`],
    };
    await steps.step('start writer, projector, api and two gateways', () => startApps(facts));
    const team = await steps.step('make the demo team', () =>
      seedTeam(demoTeam, { apiUrl, mintToken: (user) => issuer.mint(user) }),
    );
    const { user, password } = broker.natsCredentials.ops;
    summary = {
      gateways: gatewayUrls,
      api: apiUrl,
      web: existsSync(join(webRoot, 'index.html')) ? apiUrl : undefined,
      nats: broker.natsUrl,
      natsOps: password ? broker.natsUrl.replace('nats://', `nats://${user}:${password}@`) : undefined,
      metrics: ports.metrics.map((port) => `http://127.0.0.1:${port}/metrics`),
      postgres: databaseUrl,
      mongodb: mongodbUrl === undefined ? undefined : withoutPassword(mongodbUrl),
      teamId: team.teamId,
      partitions: PARTITION_COUNT,
      logs: localPaths.logs,
      pids: pids(),
    };
    writeStackFile();
    return summary;
  };

  const stop = async (): Promise<void> => {
    isStopping = true;
    // The two gateways drain together; everything else goes one after another.
    const gateways = stopOrder.filter((name) => name.startsWith('gateway'));
    const groups = [gateways, ...stopOrder.filter((name) => !gateways.includes(name)).map((name) => [name])];
    for (const group of groups) {
      const running = group.filter((name) => units.get(name)?.isRunning());
      if (running.length === 0) {
        for (const name of group) await units.get(name)?.stop();
        continue;
      }
      await steps.step(`stop ${running.join(' and ')}`, async () => {
        await Promise.all(group.map(async (name) => units.get(name)?.stop()));
      });
    }
    records.clear();
  };
  return { start, stop };
};
