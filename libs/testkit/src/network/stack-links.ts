/**
 * The links of a whole stack: one between each process and each server it talks to (each member of a NATS cluster), and
 * one before each gateway.
 */

import type { AppName } from '../processes/app-process.ts';
import { type TcpLink, startTcpLink } from './tcp-link.ts';

export type StackLinks = {
  readonly names: readonly string[];
  /** `gateway-1→nats` (`gateway-1→nats-2` of a cluster), `writer-1→postgres`, `client→gateway-1`, … Throws when there is none of the name. */
  readonly link: (name: string) => TcpLink;
  readonly stop: () => Promise<void>;
};

export type LinkedProcess = { readonly app: AppName; readonly name: string; readonly port: number };

/** The only app without PostgreSQL is the gateway. */
const talksToPostgres = (app: AppName): boolean => app !== 'gateway';

export const startStackLinks = async (
  processes: readonly LinkedProcess[],
  servers: {
    readonly nats: readonly { readonly name: string; readonly port: number }[];
    readonly postgres: number;
  },
): Promise<StackLinks> => {
  const links = new Map<string, TcpLink>();
  const add = async (name: string, targetPort: number): Promise<void> => {
    links.set(name, await startTcpLink({ name, targetPort }));
  };
  for (const { app, name, port } of processes) {
    for (const nats of servers.nats) await add(`${name}→${nats.name}`, nats.port);
    if (talksToPostgres(app)) await add(`${name}→postgres`, servers.postgres);
    if (app === 'gateway') await add(`client→${name}`, port);
  }
  return {
    names: [...links.keys()],
    link: (name) => {
      const found = links.get(name);
      if (!found) throw new Error(`no link ${name}; there are ${[...links.keys()].join(', ')}`);
      return found;
    },
    stop: async () => {
      await Promise.all([...links.values()].map((link) => link.stop()));
    },
  };
};

/** Each URL of a list with commas, with the port of its link in place of the server's. */
export const throughLinks = (urls: string, links: readonly TcpLink[]): string =>
  urls
    .split(',')
    .map((url, i) => {
      const link = links[i];
      if (!link) throw new Error(`no link for the server number ${i + 1}`);
      return throughLink(url, link);
    })
    .join(',');

/** The URL with the link's port in place of the server's. */
export const throughLink = (url: string, link: TcpLink): string => {
  const linked = new URL(url);
  linked.port = String(link.port);
  return linked.href;
};
