/**
 * One child process whose end and last lines are known. Output goes to `onLine` and a bounded tail; both
 * pipes are always read, so a talkative child never blocks.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type ChildSpec = {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Signal the kernel sends this child when the thread that started it dies (Linux). Default SIGTERM. */
  readonly deathSignal?: 'TERM' | 'INT' | 'KILL';
  readonly onLine?: (line: string) => void;
  /** Told as soon as the process exists, before anything else is awaited: for pid files. */
  readonly onPid?: (pid: number) => void;
};

export type Child = {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  readonly exit: () => Exit | undefined;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** Sends `signal`; after `graceMs` SIGKILL. Resolves when the process is gone. */
  readonly end: (signal: NodeJS.Signals, graceMs: number) => Promise<Exit>;
  /** The last lines it wrote, oldest first. */
  readonly tail: () => readonly string[];
};

/** Lines kept per child; older ones are dropped. */
const TAIL_LINE_COUNT = 200;

let setprivWorks: boolean | undefined;
/**
 * A parent that is killed with -9 cannot end its children; the kernel can, where util-linux's setpriv is.
 * Elsewhere the pid files of the local stack are what finds them.
 */
const withDeathSignal = (spec: ChildSpec): { command: string; args: readonly string[] } => {
  setprivWorks ??=
    process.platform === 'linux' &&
    spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true'], { stdio: 'ignore' }).status === 0;
  if (!setprivWorks) return { command: spec.command, args: spec.args };
  const deathSignal = spec.deathSignal ?? 'TERM';
  return { command: 'setpriv', args: ['--pdeathsig', deathSignal, '--', spec.command, ...spec.args] };
};

/** Starts the process. Rejects when it cannot be executed at all. */
export const spawnChild = async (spec: ChildSpec): Promise<Child> => {
  const { command, args } = withDeathSignal(spec);
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Own process group: Ctrl-C in a terminal reaches the parent only, which stops its children in order.
    detached: true,
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    ...(spec.env ? { env: spec.env as NodeJS.ProcessEnv } : {}),
    ...(spec.uid === undefined ? {} : { uid: spec.uid }),
    ...(spec.gid === undefined ? {} : { gid: spec.gid }),
  });
  if (child.pid !== undefined) spec.onPid?.(child.pid);
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      tail.push(line);
      if (tail.length > TAIL_LINE_COUNT) tail.shift();
      spec.onLine?.(line);
    });
  }
  let exit: Exit | undefined;
  // `close`, not `exit`: when it fires, the last lines have been read as well.
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      exit = { code, signal };
    });
    child.once('close', (code, signal) => resolve((exit ??= { code, signal })));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.on('error', () => {}); // a failed signal; `exited` tells the truth
  const { pid } = child;
  if (pid === undefined) throw new Error(`${spec.command} was started without a pid`);
  const signal = (name: NodeJS.Signals): void => {
    if (!exit) child.kill(name);
  };
  return {
    pid,
    exited,
    exit: () => exit,
    signal,
    end: async (name, graceMs) => {
      signal(name);
      const timer = setTimeout(() => signal('SIGKILL'), graceMs);
      const result = await exited;
      clearTimeout(timer);
      return result;
    },
    tail: () => tail,
  };
};
