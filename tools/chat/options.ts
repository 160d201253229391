/** The command line of the terminal client. */

import { parseArgs } from 'node:util';
import { type UserId, parseUserId } from '@chat/contracts/ids';

export const USAGE = `npm run chat -- --as <user> [--channel <name>] [--stack <file>] [--stay]

  --as       who you are: alice, bob or carol of the demo team
  --channel  where to begin (default: general)
  --stack    the running stack, as written by npm start (default: .local/stack.json)
  --stay     in a pipe: go on listening after the input has ended`;

export type ChatOptions = {
  readonly user: UserId;
  readonly channelName: string;
  readonly stackFile: string;
  readonly stay: boolean;
};

export type ParsedOptions =
  | { readonly kind: 'run'; readonly options: ChatOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'bad'; readonly message: string };

const spec = {
  as: { type: 'string' },
  channel: { type: 'string', default: 'general' },
  stack: { type: 'string', default: '.local/stack.json' },
  stay: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export const parseOptions = (argv: readonly string[]): ParsedOptions => {
  try {
    const { values } = parseArgs({ args: [...argv], options: spec, allowPositionals: false });
    if (values.help) return { kind: 'help' };
    const user = parseUserId(values.as);
    if (!user) return { kind: 'bad', message: 'Say who you are: --as alice' };
    const channelName = values.channel.replace(/^#/, '');
    return { kind: 'run', options: { user, channelName, stackFile: values.stack, stay: values.stay } };
  } catch (error) {
    return { kind: 'bad', message: error instanceof Error ? error.message : String(error) };
  }
};
