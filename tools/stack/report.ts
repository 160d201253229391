/** What is printed when everything is up, and written to .local/stack.json for tools and tests. */

import { relative } from 'node:path';
import { repositoryRoot } from '@chat/testkit/processes/app-process';
import { demoUsers } from './demo-team.ts';

export type StackSummary = {
  readonly gateways: readonly string[];
  readonly api: string;
  readonly web: string | undefined;
  readonly nats: string;
  /** With the operator's password: for the `nats` command line. */
  readonly natsOps: string | undefined;
  readonly postgres: string;
  /** Without password; undefined: the read model is in PostgreSQL. */
  readonly mongodb: string | undefined;
  /** gateway-1, gateway-2, writer, projector, api */
  readonly metrics: readonly string[];
  readonly teamId: string;
  readonly partitions: number;
  readonly logs: string;
  /** `starter` and every process by its name. */
  readonly pids: Readonly<Record<string, number>>;
};

export const withoutPassword = (url: string): string => url.replace(/:\/\/([^:/@]+):[^@]*@/, '://$1@');

const natsHint = `    3. Look into the log: nats --server "$(node -p "require('./.local/stack.json').natsOps")" stream ls`;

export const reportLines = (stack: StackSummary): readonly string[] => [
  '',
  `  Chat page    ${stack.web ?? '(not built)'}   as ${demoUsers.join(', ')}`,
  `  API          ${stack.api}/docs`,
  `  Gateways     ${stack.gateways.join('   ')}`,
  `  NATS         ${stack.nats}`,
  `  PostgreSQL   ${withoutPassword(stack.postgres)}`,
  ...(stack.mongodb ? [`  MongoDB      ${stack.mongodb}   (the read model)`] : []),
  `  Metrics      ${stack.metrics.map((url) => url.replace(/^http:\/\/|\/metrics$/g, '')).join('   ')}   each at /metrics`,
  `  Logs         ${relative(repositoryRoot, stack.logs)}/   (addresses and pids: .local/stack.json)`,
  '',
  '  Try next:',
  `    1. Open the page in two windows, as alice and as bob, and chat; or in a terminal: npm run chat -- --as bob`,
  `    2. Kill a gateway in between: kill -9 ${stack.pids['gateway-1'] ?? ''}   every message still comes once and in order`,
  ...(stack.natsOps ? [natsHint] : []),
  '',
];
