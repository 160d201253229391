/** Faults of the network between two parts: cut in both directions or one, slow, lossy, reset. */

import type { LinkStats, TcpLink } from '@chat/testkit/network/tcp-link';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { pick } from '../../random.ts';

const PARTITION_MIN_MS = 4_000;
const PARTITION_SPREAD_MS = 8_000;
const BETWEEN_MS = 4_000;
/** In turn. */
const DIRECTIONS = ['both', 'toServer', 'toClient'] as const;
const arrows = {
  both: 'both ways',
  toServer: 'towards the server',
  toClient: 'towards the process',
} as const;

type Totals = Pick<LinkStats, 'delayedCount' | 'stalledCount' | 'resetCount'>;

const linksTo = ({ stack }: Injection, kind: string, server: string): readonly TcpLink[] =>
  stack.linkNames
    .filter((name) => name.startsWith(`${kind}-`) && name.endsWith(`→${server}`))
    .map((name) => stack.link(name));

/** Of processes to servers, not of clients. */
const serverLinks = ({ stack }: Injection): readonly TcpLink[] =>
  stack.linkNames.filter((name) => !name.startsWith('client→')).map((name) => stack.link(name));

const partitionOne = (
  { fault }: Injection,
  link: TcpLink,
  direction: (typeof DIRECTIONS)[number],
  lastsMs: number,
): Promise<void> => {
  let before = link.stats();
  return fault({
    target: link.name,
    action: `partition ${arrows[direction]}`,
    begin: async () => {
      before = link.stats();
      link.set({ kind: 'blackhole', direction });
      return [];
    },
    lastsMs,
    heal: async () => {
      const after = link.stats();
      link.set({ kind: 'pass' });
      const movedBytes =
        (direction === 'toClient' ? 0 : after.toServerBytes - before.toServerBytes) +
        (direction === 'toServer' ? 0 : after.toClientBytes - before.toClientBytes);
      // A link that nobody used proves nothing.
      if (movedBytes > 0 || before.openCount === 0 || before.toServerBytes === 0) return [];
      return [`over ${before.openCount} connections of ${link.name} not a byte passed ${arrows[direction]}`];
    },
  });
};

const partition = (kind: string, server: 'nats' | 'postgres', about: string): Nemesis => ({
  name: `partition-${kind}-${server}`,
  about,
  needs: { isProxied: true },
  runbook: 'network-partition',
  run: async (injection) => {
    const { signal, random, pause } = injection;
    for (let i = 0; !signal.aborted; i += 1) {
      const direction = DIRECTIONS[i % DIRECTIONS.length] ?? 'both';
      const lastsMs = PARTITION_MIN_MS + random() * PARTITION_SPREAD_MS;
      await partitionOne(injection, pick(random, linksTo(injection, kind, server)), direction, lastsMs);
      await pause(BETWEEN_MS);
    }
  },
});

/** What a client's own network does: its gateway is there, and it cannot be heard, cannot hear, or both late. */
const CLIENT_FAULT_MIN_MS = 3_000;
const CLIENT_FAULT_SPREAD_MS = 3_000;
const clientFaults = ['toServer', 'latency', 'toClient', 'both'] as const;

const clientLinks: Nemesis = {
  name: 'client-links',
  about:
    'The clients of one gateway cannot reach it, are not reached by it, both, or only after 300 ± 150 ms.',
  needs: { isProxied: true },
  runbook: 'network-partition',
  run: async (injection) => {
    const { stack, signal, random, pause } = injection;
    const links = stack.linkNames.filter((name) => name.startsWith('client→'));
    // From another one with each seed: a short run holds one or two.
    const first = Math.floor(random() * clientFaults.length);
    for (let i = 0; !signal.aborted; i += 1) {
      const link = stack.link(pick(random, links));
      const what = clientFaults[(first + i) % clientFaults.length] ?? 'both';
      const lastsMs = CLIENT_FAULT_MIN_MS + random() * CLIENT_FAULT_SPREAD_MS;
      if (what === 'latency')
        await slowLinks(injection, [link], link.name, { ms: 300, jitterMs: 150 }, lastsMs);
      else await partitionOne(injection, link, what, lastsMs);
      await pause(BETWEEN_MS / 2);
    }
  },
};

/** A process loses the one NATS server of three that it talks to, and goes on over another; streams keep their leaders. */
const natsMember: Nemesis = {
  name: 'partition-nats-member',
  about:
    'A process cannot reach the NATS server of three that it is connected to, or only one way; it goes to another.',
  needs: { nats: 'cluster', isProxied: true },
  runbook: 'network-partition',
  run: async (injection) => {
    const { stack, signal, random, pause } = injection;
    const first = Math.floor(random() * DIRECTIONS.length);
    for (let i = 0; !signal.aborted; i += 1) {
      const used = stack.linkNames
        .filter((name) => name.includes('→nats-') && stack.link(name).stats().openCount > 0)
        .map((name) => stack.link(name));
      const direction = DIRECTIONS[(first + i) % DIRECTIONS.length] ?? 'both';
      const lastsMs = PARTITION_MIN_MS + random() * PARTITION_SPREAD_MS;
      await partitionOne(injection, pick(random, used), direction, lastsMs);
      await pause(BETWEEN_MS);
    }
  },
};

const totalsOf = (links: readonly TcpLink[]): Totals =>
  links
    .map((link) => link.stats())
    .reduce<Totals>(
      (sum, { delayedCount, stalledCount, resetCount }) => ({
        delayedCount: sum.delayedCount + delayedCount,
        stalledCount: sum.stalledCount + stalledCount,
        resetCount: sum.resetCount + resetCount,
      }),
      { delayedCount: 0, stalledCount: 0, resetCount: 0 },
    );

/** Sets a mode on the links for a while; proven by how often it acted. */
const impair = (
  { fault }: Injection,
  links: readonly TcpLink[],
  options: {
    readonly target: string;
    readonly action: string;
    readonly mode: Parameters<TcpLink['set']>[0];
    readonly lastsMs: number;
    readonly proofOf: (acted: Totals) => readonly string[];
  },
): Promise<void> => {
  let before = totalsOf(links);
  return fault({
    target: options.target,
    action: options.action,
    begin: async () => {
      before = totalsOf(links);
      for (const link of links) link.set(options.mode);
      return [];
    },
    lastsMs: options.lastsMs,
    heal: async () => {
      const after = totalsOf(links);
      for (const link of links) link.set({ kind: 'pass' });
      return options.proofOf({
        delayedCount: after.delayedCount - before.delayedCount,
        stalledCount: after.stalledCount - before.stalledCount,
        resetCount: after.resetCount - before.resetCount,
      });
    },
  });
};

const slowLinks = (
  injection: Injection,
  links: readonly TcpLink[],
  target: string,
  { ms, jitterMs }: { readonly ms: number; readonly jitterMs: number },
  lastsMs: number,
): Promise<void> =>
  impair(injection, links, {
    target,
    action: `latency ${ms} ± ${jitterMs} ms`,
    mode: { kind: 'delay', ms, jitterMs },
    lastsMs,
    proofOf: ({ delayedCount }) =>
      delayedCount > 0 ? [`${delayedCount} chunks were held back ${ms} ± ${jitterMs} ms`] : [],
  });

const latency = (
  name: string,
  about: string,
  delay: { readonly ms: number; readonly jitterMs: number; readonly isEverywhere: boolean },
): Nemesis => ({
  name,
  about,
  needs: { isProxied: true },
  runbook: 'network-slow',
  run: async (injection) => {
    const { signal, random, pause } = injection;
    const { ms, jitterMs, isEverywhere } = delay;
    while (!signal.aborted) {
      const all = serverLinks(injection);
      const one = pick(random, all);
      const target = isEverywhere ? 'every link to a server' : one.name;
      await slowLinks(injection, isEverywhere ? all : [one], target, { ms, jitterMs }, 8_000);
      await pause(BETWEEN_MS);
    }
  },
});

const loss: Nemesis = {
  name: 'loss',
  about: 'Packets are lost on every link to a server: 2 % of the chunks stall for 200–1000 ms, 0.2 % reset.',
  needs: { isProxied: true },
  runbook: 'network-slow',
  run: async (injection) => {
    const { signal, pause } = injection;
    while (!signal.aborted) {
      await impair(injection, serverLinks(injection), {
        target: 'every link to a server',
        action: 'loss',
        mode: { kind: 'loss', stallShare: 0.02, resetShare: 0.002 },
        lastsMs: 8_000,
        proofOf: ({ stalledCount, resetCount }) =>
          stalledCount > 0 ? [`${stalledCount} stalls, ${resetCount} resets`] : [],
      });
      await pause(BETWEEN_MS);
    }
  },
};

const resets: Nemesis = {
  name: 'resets',
  about: 'Every 2–4 s all connections of one process to one server are reset.',
  needs: { isProxied: true },
  runbook: 'network-partition',
  run: async (injection) => {
    const { fault, signal, random, pause } = injection;
    while (!signal.aborted) {
      const link = pick(random, serverLinks(injection));
      await fault({
        target: link.name,
        action: 'reset connections',
        begin: async () => {
          const count = link.cut();
          return count > 0 ? [`${count} connections of ${link.name} were reset`] : [];
        },
        heal: async () => [],
      });
      await pause(2_000 + random() * 2_000);
    }
  },
};

export const networkNemeses: readonly Nemesis[] = [
  partition('gateway', 'nats', 'A gateway cannot reach NATS, or only one way; its clients go to the other.'),
  partition('writer', 'nats', 'A writer cannot reach NATS, or only one way; it keeps its lease or loses it.'),
  partition('writer', 'postgres', 'A writer cannot reach PostgreSQL, or only one way; the other takes over.'),
  partition('projector', 'nats', 'A projector cannot reach NATS, or only one way; reads lag and catch up.'),
  partition('projector', 'postgres', 'A projector cannot reach PostgreSQL, or only one way.'),
  partition('api', 'nats', 'An api cannot reach NATS, or only one way; HTTP senders go to the other.'),
  latency('latency-100', 'Every link to a server is 100 ± 50 ms slow for 8 s at a time.', {
    ms: 100,
    jitterMs: 50,
    isEverywhere: true,
  }),
  latency('latency-2000', 'One link to a server at a time is 2 s slow, for 8 s.', {
    ms: 2_000,
    jitterMs: 0,
    isEverywhere: false,
  }),
  resets,
  loss,
  clientLinks,
  natsMember,
];
