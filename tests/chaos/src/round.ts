/**
 * One round: fresh teams and clients on a running system, a nemesis for its time, then healing, quiet, and the verdict.
 *
 * Phases: making teams → warm (load, no fault) → faults → recovering (load goes on) → draining (no new operations;
 * every outcome is awaited) → quiet → read out → judged. A wait that runs out is a problem of the round, which fails
 * it, and the round goes on: what can be gathered then says why.
 */

import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@chat/testkit/checking/eventually';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { dumpRound, lastSeqOf, quiet } from './dump.ts';
import type { HistoryLine } from './history-line.ts';
import { createInjection } from './injection.ts';
import { type Judged, judgeFolder } from './judge.ts';
import type { Nemesis } from './nemesis.ts';
import { createRandom } from './random.ts';
import { type Recorder, createRecorder } from './recorder.ts';
import { files, writeMeta, writeRows } from './run-folder.ts';
import { startSampler } from './sampler.ts';
import type { System } from './system.ts';
import { delayMs } from './workload/api-caller.ts';
import { membersOf } from './workload/teams.ts';
import { type Workload, startWorkload } from './workload/workload.ts';

export type RoundOptions = {
  readonly system: System;
  readonly nemesis: Nemesis;
  readonly seconds: number;
  readonly seed: number;
  readonly rate: number;
  /** Made by the round. */
  readonly folder: string;
  readonly mutant?: string;
  /** Bound of every wait after the faults. A system with a known bug may never come to rest. */
  readonly patienceMs?: number;
  readonly say?: (text: string) => void;
};

const READY_TIMEOUT_MS = 60_000;
const WARM_ACK_COUNT = 120;
const WARM_TIMEOUT_MS = 60_000;
const RECOVERY_TIMEOUT_MS = 70_000;
const AFTER_RECOVERY_MS = 1_000;
const OUTCOMES_TIMEOUT_MS = 90_000;
const QUIET_TIMEOUT_MS = 90_000;
/** How long a nemesis may take to heal after its time is over. */
const NEMESIS_GRACE_MS = 120_000;

const commitOf = (): string => {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: repositoryRoot,
      encoding: 'utf8',
    }).trim();
  } catch {
    return 'unknown';
  }
};
const machineOf = (): string => `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown'}`;

/** Counts what the phases wait for. */
const createWatch = () => {
  const lastAckMs = new Map<string, number>();
  const lastInvokeMs = new Map<string, number>();
  let ackCount = 0;
  return {
    take: ({ op, type, client, monoNs }: HistoryLine): void => {
      if (op !== 'send') return;
      if (type === 'invoke') lastInvokeMs.set(client, monoNs / 1e6);
      if (type !== 'ok') return;
      ackCount += 1;
      lastAckMs.set(client, monoNs / 1e6);
    },
    ackCount: () => ackCount,
    /** Clients that wrote and had nothing persisted since. */
    silentSince: (atMs: number): readonly string[] =>
      [...lastInvokeMs.keys()].filter((client) => (lastAckMs.get(client) ?? 0) < atMs),
  };
};
type Watch = ReturnType<typeof createWatch>;

export const runRound = async (options: RoundOptions): Promise<Judged> => {
  const { system, nemesis, seed, rate, folder, seconds, say = () => {} } = options;
  const { stack } = system;
  const run = `${nemesis.name}-${seed}`;
  const startedAt = new Date().toISOString();
  const problems: string[] = [];
  const patience = (ms: number): number => Math.min(ms, options.patienceMs ?? ms);
  await mkdir(folder, { recursive: true });
  const afterSeq: Record<string, number> = {};
  for (let p = 0; p < stack.partitions; p += 1) afterSeq[String(p)] = await lastSeqOf(stack, p);
  const watch = createWatch();
  const recorder = createRecorder({ file: join(folder, files.history), run, seed, onLine: watch.take });
  const sampler = startSampler(stack, recorder);
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      problems.push(problem);
      say(`  ! ${problem}`);
    }
  };
  const phase = (name: string): void => {
    recorder.write({ client: 'runner', conn: 0, op: 'phase', type: 'info', detail: name });
  };

  phase('making teams');
  const mayLoseAccepted = nemesis.allows?.includes('ACCEPTED_WITHOUT_OUTCOME') ?? false;
  const workload = await startWorkload({ stack, recorder, seed, rate, mayLoseAccepted });
  try {
    phase('warm');
    await attempt(() => warm(workload, watch));
    phase('faults');
    await attempt(() => injectFaults(options, workload, recorder));
    phase('recovering');
    await attempt(() => recover(recorder, watch, patience(RECOVERY_TIMEOUT_MS)));
    phase('draining');
    await workload.quiesce();
    await attempt(() => drained(workload, patience(OUTCOMES_TIMEOUT_MS)));
    phase('quiet');
    const teams: { team: Workload['roundTeams'][number]; lastSeq: number }[] = [];
    for (const team of workload.roundTeams) {
      let lastSeq = 0;
      await attempt(async () => {
        lastSeq = await quiet(stack, workload.call, team, patience(QUIET_TIMEOUT_MS));
        await readOut(workload, team.teamId, lastSeq, patience(QUIET_TIMEOUT_MS));
      });
      teams.push({ team, lastSeq });
    }
    await workload.stop();
    phase('read out');
    await attempt(() => dumpRound({ folder, stack, call: workload.call, teams, afterSeq }));
  } finally {
    await workload.stop();
    await writeRows(folder, files.samples, await sampler.stop());
    await recorder.close();
  }
  await writeMeta(folder, {
    run,
    nemesis: nemesis.name,
    about: nemesis.about,
    allows: nemesis.allows ?? [],
    ...(system.needs.readStore ? { readStore: system.needs.readStore } : {}),
    ...(options.mutant ? { mutant: options.mutant } : {}),
    seed,
    seconds,
    rate,
    startedAt,
    commit: commitOf(),
    machine: machineOf(),
    teams: workload.roundTeams.map((team) => ({
      teamId: team.teamId,
      partition: team.partition,
      userIds: membersOf(team),
    })),
    afterSeq,
    problems,
  });
  return judgeFolder(folder);
};

const warm = async (workload: Workload, watch: Watch): Promise<void> => {
  // Each once, not all at one moment: the load has begun, and somebody is always on the way back.
  const waiting = new Set(workload.clients);
  await eventually(
    'every client was live',
    () => {
      for (const client of waiting) if (client.isReady()) waiting.delete(client);
      if (waiting.size === 0) return true;
      throw new Error([...waiting].map(({ name }) => name).join(', '));
    },
    { timeoutMs: READY_TIMEOUT_MS },
  );
  await eventually('the load runs', () => watch.ackCount() >= WARM_ACK_COUNT, { timeoutMs: WARM_TIMEOUT_MS });
};

const injectFaults = async (
  { system, nemesis, seed, seconds }: RoundOptions,
  workload: Workload,
  recorder: Recorder,
): Promise<void> => {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), seconds * 1_000);
  const random = createRandom(seed ^ 0x5eed);
  const injection = createInjection({
    stack: system.stack,
    workload,
    recorder,
    random,
    signal: ending.signal,
    ...(system.clockFile ? { clockFile: system.clockFile } : {}),
  });
  let late: NodeJS.Timeout | undefined;
  try {
    await Promise.race([
      nemesis.run(injection),
      new Promise<never>((_, reject) => {
        late = setTimeout(
          () => reject(new Error(`${nemesis.name} did not heal within ${NEMESIS_GRACE_MS} ms of its end`)),
          seconds * 1_000 + NEMESIS_GRACE_MS,
        );
      }),
    ]);
  } finally {
    clearTimeout(timer);
    clearTimeout(late);
    ending.abort();
  }
};

/** The load goes on until every client that writes has a message persisted after the last heal. */
const recover = async (recorder: Recorder, watch: Watch, timeoutMs: number): Promise<void> => {
  const healedAtMs = recorder.nowMs();
  await eventually(
    'every client has a message persisted after the faults',
    () => {
      const silent = watch.silentSince(healedAtMs);
      if (silent.length > 0) throw new Error(`${silent.length} have not: ${silent.slice(0, 5).join(', ')}`);
      return true;
    },
    { timeoutMs },
  );
  await delayMs(AFTER_RECOVERY_MS);
};

const drained = (workload: Workload, timeoutMs: number): Promise<unknown> =>
  eventually(
    'every message has its outcome',
    () => {
      const waiting = workload.clients.filter((client) => client.pendingCount() > 0);
      if (waiting.length === 0) return true;
      const some = waiting.slice(0, 5).map((client) => `${client.name} ${client.pendingCount()}`);
      throw new Error(`${waiting.length} clients wait: ${some.join(', ')}`);
    },
    { timeoutMs },
  );

const readOut = (workload: Workload, teamId: string, lastSeq: number, timeoutMs: number): Promise<unknown> =>
  eventually(
    `every device of the team has seen ${lastSeq}`,
    () => {
      const behind = workload.clients.filter(
        (client) => client.teamId === teamId && (client.seenSeq() ?? lastSeq) < lastSeq,
      );
      if (behind.length === 0) return true;
      const some = behind.slice(0, 5).map((client) => `${client.name} at ${client.seenSeq()}`);
      throw new Error(`${behind.length} have not: ${some.join(', ')}`);
    },
    { timeoutMs },
  );
