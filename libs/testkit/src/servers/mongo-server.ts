/** One mongod on loopback, as a replica set of its own (transactions, majority writes). */

import { findMongod } from './mongo-binary.ts';
import {
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

export type { MongoServer } from './mongo-process.ts';

type SetConfig = {
  readonly version: number;
  readonly members: readonly { readonly host: string }[];
};

/** The set on this data may have been formed under another port: a member that is not where its set says never serves. */
const moveTo = async (port: number): Promise<void> => {
  const host = `127.0.0.1:${port}`;
  const { config } = await adminCommand<{ readonly config: SetConfig }>(port, { replSetGetConfig: 1 });
  const [member] = config.members;
  if (!member || member.host === host) return;
  const moved = { ...config, version: config.version + 1, members: [{ ...member, host }] };
  await adminCommand(port, { replSetReconfig: moved, force: true });
};

/** Starts a replica set of one. Throws ServerFault. */
export const startMongo = async (options: MongoServerOptions): Promise<MongoServer> => {
  const binary = options.binary ?? (await findMongod(options.say));
  const node = createMongoProcess(binary, options.port ?? (await freePort()), options);
  const start = async (): Promise<void> => {
    await node.start();
    await initiate([node.port]);
    await moveTo(node.port);
    await until('mongod did not become primary', node.child, () => isPrimary(node.port));
  };
  try {
    await start();
  } catch (error) {
    await node.stop();
    throw error;
  }
  return handleOf(node, setUrl([node.port]), start);
};
