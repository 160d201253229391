/** The links of a whole stack: one between each process and each server it talks to, and one before each gateway. */

import type { AppName } from '../processes/app-process.ts';
import { type TcpLink, startTcpLink } from './tcp-link.ts';

export type StackLinks = {
  readonly names: readonly string[];
  /** `gateway-1→nats`, `writer-1→postgres`, `client→gateway-1`, … Throws when there is none of the name. */
  readonly link: (name: string) => TcpLink;
  readonly stop: () => Promise<void>;
};

export type LinkedProcess = { readonly app: AppName; readonly name: string; readonly port: number };

/** The only app without PostgreSQL is the gateway. */
const talksToPostgres = (app: AppName): boolean => app !== 'gateway';

export const startStackLinks = async (
  processes: readonly LinkedProcess[],
  ports: { readonly nats: number; readonly postgres: number },
): Promise<StackLinks> => {
  const links = new Map<string, TcpLink>();
  const add = async (name: string, targetPort: number): Promise<void> => {
    links.set(name, await startTcpLink({ name, targetPort }));
  };
  for (const { app, name, port } of processes) {
    await add(`${name}→nats`, ports.nats);
    if (talksToPostgres(app)) await add(`${name}→postgres`, ports.postgres);
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

/** The URL with the link's port in place of the server's. */
export const throughLink = (url: string, link: TcpLink): string => {
  const linked = new URL(url);
  linked.port = String(link.port);
  return linked.href;
};
