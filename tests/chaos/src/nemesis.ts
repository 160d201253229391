/** What a nemesis is: one kind of fault, injected over and over into a running system until its time is over. */

import type { TeamId, UserId } from '@chat/contracts/ids';
import type { ViolationName } from '@chat/testkit/checking/checker';
import type { ChatStack } from '@chat/testkit/processes/chat-stack';

export type ReadStore = 'postgres' | 'mongodb' | 'mongodb-set';

/** The system a nemesis needs. Nemeses with equal needs share a running system, one after another. */
export type Needs = {
  /** Default `single`. `cluster`: three servers, streams R3. */
  readonly nats?: 'single' | 'cluster';
  /** Default `single`. With a standby that commits wait for (`sync`), or do not (`async`). */
  readonly postgres?: 'single' | 'sync-standby' | 'async-standby';
  /** Where the read model is; default `postgres`. `mongodb-set`: three members, of which a majority elects the primary. */
  readonly readStore?: ReadStore;
  /** Every connection between two parts goes over a TCP proxy that can delay, cut, lose and black-hole. */
  readonly isProxied?: boolean;
  /** The data folder that stands on a small file system of its own. */
  readonly smallDisk?: 'nats' | 'postgres';
  /** PostgreSQL takes few more connections than the apps have. */
  readonly hasFewConnections?: boolean;
  /** Processes whose clock can be stepped. */
  readonly isClockSteerable?: boolean;
};

/** Evidence that a fault took place, for example `pid 4711 is gone`, `leader of EVT_0 was n1, is n3`. */
export type Proof = { readonly atMs: number; readonly what: string };

export type FaultRecord = {
  /** The part that was hit: a process name, or `gateway-1→nats`. */
  readonly target: string;
  readonly action: string;
  readonly atMs: number;
  readonly healedAtMs: number;
  /** Empty: not proven; the run's verdict is then `unknown`. */
  readonly proofs: readonly Proof[];
};

/** What a nemesis may know of, and do with, the clients that load the system. */
export type WorkloadHandle = {
  readonly teams: readonly { readonly teamId: TeamId; readonly userIds: readonly UserId[] }[];
  /** Cuts the socket of every client at once; answers how many were open. They come back by themselves. */
  readonly reconnectAll: () => number;
};

export type Injection = {
  readonly stack: ChatStack;
  readonly workload: WorkloadHandle;
  /** Steers the clocks of a system that needs `isClockSteerable`. */
  readonly clockFile?: string;
  /** Aborted when no further fault is to begin; what is broken then is healed before `run` resolves. */
  readonly signal: AbortSignal;
  /** In [0, 1), from the run's seed. */
  readonly random: () => number;
  /** Resolves after `ms` or when `signal` is aborted. */
  readonly pause: (ms: number) => Promise<void>;
  /** Notes one fault. `heal` undoes it, also when `during` throws; resolves when healed. */
  readonly fault: (fault: {
    readonly target: string;
    readonly action: string;
    /** Breaks it; answers what proves that it is broken. */
    readonly begin: () => Promise<readonly string[]>;
    /** How long it stays broken; default: until `during` of 0 ms is over. Shortened when `signal` is aborted. */
    readonly lastsMs?: number;
    /** Undoes it; answers further proofs (a new pid, a new leader). */
    readonly heal: () => Promise<readonly string[]>;
  }) => Promise<void>;
};

export type Nemesis = {
  /** Kebab-case; the name on the command line. */
  readonly name: string;
  /** One sentence for the report. */
  readonly about: string;
  readonly needs: Needs;
  /** The playbook in `deploy/runbooks/` for what an operator sees of it. */
  readonly runbook: string;
  /** Violations that this fault causes by design (a power loss may take what was only accepted). Listed, but no failure. */
  readonly allows?: readonly ViolationName[];
  readonly run: (injection: Injection) => Promise<void>;
};
