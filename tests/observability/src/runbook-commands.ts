/** The commands that the runbooks tell a person to type, made runnable. */

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { filesIn, runbookFolder } from './files.ts';

export type RunbookCommand = { readonly book: string; readonly command: string };

const filled = (text: string): string =>
  text
    .replaceAll('<p>', '0')
    .replaceAll('<n>', '1')
    .replaceAll('<pid>', '0')
    .replaceAll('<instance>', 'gateway-2')
    .replaceAll(/^\s+|\s+$/g, '');

const find = (pattern: RegExp): readonly RunbookCommand[] =>
  filesIn(runbookFolder, '.md').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(pattern)].map(([, command = '']) => ({
      book: basename(file),
      command: filled(command),
    })),
  );

/** Blocks of SQL, and what is given to psql. */
export const sqlCommands = (): readonly RunbookCommand[] => [
  ...find(/```sql\n([\s\S]*?)```/g),
  ...find(/psql "\$DATABASE_URL" -c "([^"]+)"/g),
  ...find(/`(SELECT [^`]+)`/g),
];

/** In a block (a comment may follow) or in the text. */
export const natsCommands = (): readonly RunbookCommand[] => [
  ...find(/^nats ([^#\n]+)/gm),
  ...find(/`nats (?!--server)([^`]+)`/g),
];

/** The patterns that are looked for among the metrics. */
export const metricPatterns = (): readonly RunbookCommand[] =>
  find(/\/metrics \| grep (?:-E )?'?([^'\n]+)'?/g);

/** The same request that the CLI would make. Throws for a command not known here, or what the server refuses. */
export const askAsCli = async (
  command: string,
  nc: NatsConnection,
  jsm: JetStreamManager,
): Promise<unknown> => {
  const [group, verb = '', stream = '', more = ''] = command.split(/\s+/);
  if (group === 'req' && verb.startsWith('chat.ops.')) return askOps(verb, command, nc);
  switch (`${group} ${verb}`.trim()) {
    case 'rtt':
      return nc.rtt();
    case 'stream ls':
    case 'stream report':
      return jsm.streams.list().next();
    case 'stream info':
    case 'stream edit':
      return jsm.streams.info(stream);
    case 'stream get':
      return jsm.streams.getMessage(stream, { seq: Number(more) });
    case 'consumer report':
      return jsm.consumers.list(stream).next();
    case 'kv ls':
      return jsm.streams.info(`KV_${stream}`);
    case 'kv get': {
      const entry = await jsm.streams.getMessage(`KV_${stream}`, { last_by_subj: `$KV.${stream}.${more}` });
      if (entry === null) throw new Error(`no key ${more}`);
      return entry;
    }
    case 'req gateway.gateway-2.drain':
      // The question without its minutes: answered, and nobody is sent away.
      return nc.request('gateway.gateway-2.drain', '{}', { timeout: 5_000 });
    case 'backup stream':
      // Needs a folder; that a stream can be backed up is the backup's own test.
      return undefined;
    default:
      throw new Error(`a command that no test knows: nats ${command}`);
  }
};

/** Begins nothing: what an order does is shown by its own test. */
const opsOrders = new Set(['chat.ops.rebuild', 'chat.ops.rebuild.abort', 'chat.ops.drift.repair']);

const askOps = async (subject: string, command: string, nc: NatsConnection): Promise<unknown> => {
  if (opsOrders.has(subject)) return undefined;
  const body = /'([^']*)'/.exec(command)?.[1] ?? '';
  const { data } = await nc.request(subject, body, { timeout: 10_000 });
  const answer = JSON.parse(Buffer.from(data).toString()) as { readonly error?: { readonly code: string } };
  if (answer.error) throw new Error(`refused: ${answer.error.code}`);
  return answer;
};
