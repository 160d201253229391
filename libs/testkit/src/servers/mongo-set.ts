/** A replica set of several mongod on loopback, for fail-over: any member may be primary, a majority elects it. */

import { join } from 'node:path';
import { findMongod } from './mongo-binary.ts';
import {
  type MongoProcess,
  type MongoServer,
  type MongoServerOptions,
  adminCommand,
  createMongoProcess,
  handleOf,
  initiate,
  isPrimary,
  setUrl,
  until,
} from './mongo-process.ts';
import { freePort } from './ports.ts';

export type MongoSetMember = {
  /** `mongod-1`, `mongod-2`, … */
  readonly name: string;
  readonly server: MongoServer;
};

export type MongoSet = {
  readonly url: string;
  readonly members: readonly MongoSetMember[];
  /** The member that is primary now; undefined during an election. */
  readonly primary: () => Promise<MongoSetMember | undefined>;
  /** The primary hands its office over and stands for no election for `forSeconds`. */
  readonly stepDown: (member: MongoSetMember, forSeconds: number) => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
};

const CATCH_UP_SECONDS = 3;

const startMembers = async (
  count: number,
  binary: string,
  options: MongoServerOptions,
  started: MongoProcess[],
): Promise<void> => {
  for (let i = 1; i <= count; i += 1) {
    const dataDir = join(options.dataDir, `member-${i}`);
    const node = createMongoProcess(binary, await freePort(), { ...options, dataDir });
    started.push(node);
    await node.start();
  }
};

/** Starts a set of `count` members below `dataDir`. Throws ServerFault. */
export const startMongoSet = async (count: number, options: MongoServerOptions): Promise<MongoSet> => {
  const binary = options.binary ?? (await findMongod(options.say));
  const nodes: MongoProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const node of [...nodes].reverse()) await node.stop();
  };
  let members: readonly MongoSetMember[] = [];
  const primary = async (): Promise<MongoSetMember | undefined> => {
    for (const member of members) {
      if (await isPrimary(member.server.port).catch(() => false)) return member;
    }
    return undefined;
  };
  try {
    await startMembers(count, binary, options, nodes);
    const ports = nodes.map(({ port }) => port);
    await initiate(ports);
    const url = setUrl(ports);
    members = nodes.map((node, i) => ({ name: `mongod-${i + 1}`, server: handleOf(node, url, node.start) }));
    await until(
      'the replica set has no primary',
      () => undefined,
      async () => (await primary()) !== undefined,
    );
    return {
      url,
      members,
      primary,
      stepDown: async ({ server }, forSeconds) => {
        const body = { replSetStepDown: forSeconds, secondaryCatchUpPeriodSecs: CATCH_UP_SECONDS };
        await adminCommand(server.port, body);
      },
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
