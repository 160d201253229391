/**
 * Who is connected to this gateway, in pages of at most PAGE_USERS_COUNT users, so that a change of one user rewrites one
 * page and a heartbeat of 50,000 users is 50 writes. Pure.
 */

import type { TeamId, UserId } from '@chat/contracts/ids';

/** 1000 users of the longest ids come to less than 128 KiB of JSON. */
export const PAGE_USERS_COUNT = 1_000;

type Page = { readonly index: number; readonly sockets: Map<string, number>; isDirty: boolean };

/** Sockets of each user, by team. */
export type PageContent = Readonly<Record<TeamId, Readonly<Record<UserId, number>>>>;

export type RegistryPages = {
  add(teamId: TeamId, userId: UserId): void;
  remove(teamId: TeamId, userId: UserId): void;
  readonly userCount: number;
  /** Pages changed since they were last taken (no content: nobody is left), at most `maxCount`; the rest stays due. */
  takeDue(maxCount: number): readonly { readonly index: number; readonly content: PageContent | undefined }[];
  /** Every page in use must be written again. */
  touchAll(): void;
  /** A page could not be written: it stays due. */
  touch(index: number): void;
};

const keyOf = (teamId: TeamId, userId: UserId): string => `${teamId} ${userId}`;

const contentOf = (page: Page): PageContent | undefined => {
  if (page.sockets.size === 0) return undefined;
  const content: Record<string, Record<string, number>> = {};
  for (const [key, count] of page.sockets) {
    const [teamId, userId] = key.split(' ') as [TeamId, UserId];
    (content[teamId] ??= {})[userId] = count;
  }
  return content;
};

export const createRegistryPages = (): RegistryPages => {
  const pages: Page[] = [];
  const pageOf = new Map<string, Page>();
  /** Pages that may have room; checked when taken. */
  const roomy: Page[] = [];

  const pageWithRoom = (): Page => {
    for (let page = roomy.at(-1); page; page = roomy.at(-1)) {
      if (page.sockets.size < PAGE_USERS_COUNT) return page;
      roomy.pop();
    }
    const page: Page = { index: pages.length, sockets: new Map(), isDirty: false };
    pages.push(page);
    roomy.push(page);
    return page;
  };

  return {
    add: (teamId, userId) => {
      const key = keyOf(teamId, userId);
      const page = pageOf.get(key) ?? pageWithRoom();
      page.sockets.set(key, (page.sockets.get(key) ?? 0) + 1);
      pageOf.set(key, page);
      page.isDirty = true;
    },
    remove: (teamId, userId) => {
      const key = keyOf(teamId, userId);
      const page = pageOf.get(key);
      if (!page) return;
      page.isDirty = true;
      const left = (page.sockets.get(key) ?? 0) - 1;
      if (left > 0) {
        page.sockets.set(key, left);
        return;
      }
      if (page.sockets.size === PAGE_USERS_COUNT) roomy.push(page);
      page.sockets.delete(key);
      pageOf.delete(key);
    },
    get userCount() {
      return pageOf.size;
    },
    takeDue: (maxCount) => {
      const due = [];
      for (const page of pages) {
        if (!page.isDirty) continue;
        if (due.length >= maxCount) break;
        page.isDirty = false;
        due.push({ index: page.index, content: contentOf(page) });
      }
      return due;
    },
    touchAll: () => {
      for (const page of pages) page.isDirty ||= page.sockets.size > 0;
    },
    touch: (index) => {
      const page = pages[index];
      if (page) page.isDirty = true;
    },
  };
};
