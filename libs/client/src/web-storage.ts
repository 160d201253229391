/**
 * Client storage in a browser: one entry of localStorage per tab, so that two tabs of one user do not write
 * over each other. The tab's id lives in sessionStorage (it survives a reload) and is held by a Web Lock
 * while the page lives. Entries whose lock is free belong to tabs that are gone: the commands they left are
 * adopted, sent once more under their old ids. Without Web Locks (an insecure origin) nothing is adopted.
 *
 * Crash points: adopted commands are written to the own entry before the old one is removed; in between they
 * stand in both, and being sent twice under one id makes one message.
 */

import type { TeamId, UserId } from '@chat/contracts/ids';
import { type ClientStorage, decodeState, encodeState } from './storage.ts';

/** How long a reloaded page waits for the page before it to let go; a duplicated tab waits in vain. */
const OWN_LOCK_WAIT_MS = 1_500;

type TextStore = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

type Deps = {
  readonly local: TextStore;
  readonly session: Pick<Storage, 'getItem' | 'setItem'>;
  readonly locks?: LockManager;
  readonly teamId: TeamId;
  readonly userId: UserId;
};

/** Takes the lock and holds it for the life of the page. Answers whether it was had. */
const hold = (locks: LockManager | undefined, name: string, waitMs: number): Promise<boolean> => {
  if (!locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    locks
      .request(name, { signal: AbortSignal.timeout(waitMs) }, () => {
        resolve(true);
        return new Promise<never>(() => {});
      })
      .catch(() => resolve(false));
  });
};

const keysOf = (local: TextStore, prefix: string): readonly string[] =>
  Array.from({ length: local.length }, (_, i) => local.key(i)).filter(
    (key): key is string => key !== null && key.startsWith(prefix),
  );

/** Appends the commands of tabs that are gone to the own entry. */
const adopt = async ({ local, locks, teamId }: Deps, prefix: string, ownKey: string): Promise<void> => {
  if (!locks) return;
  for (const key of keysOf(local, prefix)) {
    if (key === ownKey) continue;
    await locks.request(key, { ifAvailable: true }, (lock) => {
      const left = lock && decodeState(local.getItem(key) ?? undefined, teamId);
      if (!lock) return;
      if (left && left.commands.length > 0) {
        const own = decodeState(local.getItem(ownKey) ?? undefined, teamId) ?? { teamId, commands: [] };
        const known = new Set(own.commands.map(({ id }) => id));
        const commands = [...own.commands, ...left.commands.filter(({ id }) => !known.has(id))];
        local.setItem(ownKey, encodeState({ ...own, commands }));
      }
      local.removeItem(key);
    });
  }
};

export const openWebStorage = async (deps: Deps): Promise<ClientStorage> => {
  const { local, session, locks, teamId, userId } = deps;
  const prefix = `chat.${teamId}.${userId}.`;
  const nameKey = `${prefix}tab`;
  let ownKey = session.getItem(nameKey);
  if (ownKey === null || !(await hold(locks, ownKey, OWN_LOCK_WAIT_MS))) {
    ownKey = prefix + crypto.randomUUID();
    await hold(locks, ownKey, OWN_LOCK_WAIT_MS);
    session.setItem(nameKey, ownKey);
  }
  const key = ownKey;
  await adopt(deps, prefix, key);
  return {
    load: () => local.getItem(key) ?? undefined,
    save: (text) => local.setItem(key, text),
  };
};
