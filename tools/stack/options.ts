/** What `npm start` was asked for. A refusal is the sentence to print. */

import { parseArgs } from 'node:util';

export type StartOptions = {
  readonly isReset: boolean;
  /** First of the ports, when given; else a free block is looked for. */
  readonly portsFrom: number | undefined;
  readonly databaseUrl: string | undefined;
  readonly natsUrl: string | undefined;
  /** Where the read model is kept. */
  readonly readStore: 'postgres' | 'mongodb';
  /** A given MongoDB, for `readStore: 'mongodb'`. */
  readonly mongodbUrl: string | undefined;
};

export type ParsedOptions =
  | { readonly kind: 'start'; readonly options: StartOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'refused'; readonly reason: string };

export const PORT_BLOCK_COUNT = 16;
const readStores = ['postgres', 'mongodb'] as const;

export const usage = `npm start [-- options]

  --reset           forget all data and start anew
  --ports-from N    use the ports N to N+${PORT_BLOCK_COUNT - 1} (default: 8080 and up, or the next free block)
  --read-store S    postgres (default) or mongodb: where the read model is; another one is filled from the log

Environment: DATABASE_URL, NATS_URL and MONGODB_URL (a replica set, for --read-store mongodb) use running servers
instead of embedded ones. NATS_URL also needs NATS_GATEWAY_PASSWORD, NATS_WRITER_PASSWORD,
NATS_PROJECTOR_PASSWORD and NATS_API_PASSWORD (the accounts of deploy/nats/accounts.conf).`;

export const parseOptions = (
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedOptions => {
  let values: { reset?: boolean; help?: boolean; 'ports-from'?: string; 'read-store'?: string };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        reset: { type: 'boolean' },
        help: { type: 'boolean' },
        'ports-from': { type: 'string' },
        'read-store': { type: 'string' },
      },
    }));
  } catch (error) {
    return {
      kind: 'refused',
      reason: `${error instanceof Error ? error.message : String(error)}\n\n${usage}`,
    };
  }
  if (values.help) return { kind: 'help' };
  const text = values['ports-from'];
  const portsFrom = text === undefined ? undefined : Number(text);
  const last = 65_535 - PORT_BLOCK_COUNT + 1;
  if (portsFrom !== undefined && !(Number.isInteger(portsFrom) && portsFrom >= 1024 && portsFrom <= last))
    return { kind: 'refused', reason: `--ports-from must be a number from 1024 to ${last}, not "${text}".` };
  const readStore = readStores.find((name) => name === (values['read-store'] ?? 'postgres'));
  if (readStore === undefined)
    return {
      kind: 'refused',
      reason: `--read-store must be ${readStores.join(' or ')}, not "${values['read-store']}".`,
    };
  return {
    kind: 'start',
    options: {
      isReset: values.reset ?? false,
      portsFrom,
      databaseUrl: env.DATABASE_URL || undefined,
      natsUrl: env.NATS_URL || undefined,
      readStore,
      mongodbUrl: env.MONGODB_URL || undefined,
    },
  };
};
