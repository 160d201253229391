import { describe, expect, it } from 'vitest';
import type { TeamId, UserId } from '@chat/contracts/ids';
import { PAGE_USERS_COUNT, createRegistryPages } from './registry-pages.ts';

const team = '0000000000000001' as TeamId;
const named = (name: string | number): UserId => `${name}` as UserId;

describe('registry pages', () => {
  it('counts the sockets of a user and forgets the user with the last one', () => {
    const pages = createRegistryPages();
    pages.add(team, named('ann'));
    pages.add(team, named('ann'));
    pages.add(team, named('bob'));
    expect(pages.takeDue(9)).toEqual([{ index: 0, content: { [team]: { ann: 2, bob: 1 } } }]);
    expect(pages.takeDue(9)).toEqual([]);
    pages.remove(team, named('ann'));
    pages.remove(team, named('ann'));
    pages.remove(team, named('bob'));
    expect(pages.takeDue(9)).toEqual([{ index: 0, content: undefined }]);
    expect(pages.userCount).toBe(0);
  });

  it('writes one page for a change, at most as many as asked for, and fills a page that has room again', () => {
    const pages = createRegistryPages();
    for (let i = 0; i < 3 * PAGE_USERS_COUNT; i += 1) pages.add(team, named(i));
    expect(pages.takeDue(2).map((page) => page.index)).toEqual([0, 1]);
    expect(pages.takeDue(2).map((page) => page.index)).toEqual([2]);
    pages.remove(team, named(5));
    expect(pages.takeDue(9).map((page) => page.index)).toEqual([0]);
    pages.add(team, named('new'));
    const [page, ...others] = pages.takeDue(9);
    expect(others).toEqual([]);
    expect(page?.index).toBe(0);
    expect(page?.content?.[team]?.[named('new')]).toBe(1);
    pages.touchAll();
    expect(pages.takeDue(9)).toHaveLength(3);
  });

  it('a full page of the longest ids stays under half of the largest message', () => {
    const pages = createRegistryPages();
    for (let i = 0; i < PAGE_USERS_COUNT; i += 1)
      pages.add(String(i).padStart(16, '0') as TeamId, named(String(i).padStart(64, 'u')));
    const [page] = pages.takeDue(1);
    expect(JSON.stringify(page?.content).length).toBeLessThan(128 * 1024);
  });
});
