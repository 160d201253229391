import { randomUUID } from 'node:crypto';
import type { ErrorBody } from '@chat/contracts/errors';
import type { SearchResponse } from '@chat/contracts/http';
import { describe, expect, it } from 'vitest';
import {
  type Answer,
  type Team,
  command,
  expectRefusal,
  get,
  makeTeam,
  say,
  stack,
  useStack,
} from './testing/api-stack.ts';

useStack();

type Query = Record<string, string | number>;
const pathOf = (teamId: string, query: Query): string =>
  `/api/v1/search?${new URLSearchParams({ teamId, ...Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)])) })}`;

/** Asks until the views have what the asker has seen, like a client does. */
const ask = async (as: string, teamId: string, query: Query): Promise<Answer<SearchResponse & ErrorBody>> => {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    const answer = await get<SearchResponse & ErrorBody>(as, pathOf(teamId, query));
    if (answer.body.code !== 'READ_MODEL_BEHIND' || performance.now() > deadlineMs) return answer;
  }
};
const search = async (as: string, { teamId }: Team, query: Query): Promise<SearchResponse> => {
  const { status, body } = await ask(as, teamId, query);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
};
const textsOf = ({ hits }: SearchResponse): string[] => hits.map(({ message }) => message.text);

const speak = async (as: string, team: Team, text: string): Promise<number> =>
  (await say(as, team, text)).body.message.seq;

describe('search over HTTP', () => {
  it('finds Japanese and English, newest first, with highlights of the original text', async () => {
    const team = await makeTeam();
    await speak('alice', team, '来週の会議は東京です');
    await speak('bob', team, 'ﾃｽﾄ環境へのデプロイ');
    const minSeq = await speak('alice', team, 'Deploy to the TEST environment');
    expect(await search('bob', team, { q: '会議', minSeq })).toMatchObject({
      epoch: team.epoch,
      hits: [{ message: { text: '来週の会議は東京です', actor: 'alice' }, highlights: [[3, 5]] }],
    });
    expect((await search('bob', team, { q: 'テスト', minSeq })).hits).toMatchObject([
      { highlights: [[0, 3]] },
    ]);
    expect(textsOf(await search('bob', team, { q: 'test deploy', minSeq }))).toEqual([
      'Deploy to the TEST environment',
    ]);
    expect((await search('bob', team, { q: 'デプロイ 東京', minSeq })).hits).toEqual([]);
    expect((await search('bob', team, { q: 'ploy', minSeq })).asOf).toBeGreaterThanOrEqual(minSeq);
  });

  it('is paged by a cursor of this search alone, while messages come', async () => {
    const team = await makeTeam();
    let minSeq = 0;
    for (let n = 1; n <= 7; n += 1) minSeq = await speak(n % 2 ? 'alice' : 'bob', team, `lunch ${n}`);
    const found: string[] = [];
    let query: Query = { q: 'lunch', limit: 3, minSeq };
    for (;;) {
      const page = await search('alice', team, query);
      found.push(...textsOf(page));
      await speak('bob', team, 'lunch again');
      if (page.nextCursor === undefined) break;
      query = { ...query, cursor: page.nextCursor };
    }
    expect(found).toEqual([7, 6, 5, 4, 3, 2, 1].map((n) => `lunch ${n}`));
    const { cursor } = query as { cursor: string };
    const others: Query[] = [
      { q: 'again' },
      { q: 'lunch', from: 'bob' },
      { q: 'lunch', cursor: `${cursor}A` },
    ];
    for (const other of others)
      expectRefusal(await get('alice', pathOf(team.teamId, { cursor, ...other })), 'CURSOR_INVALID');
    const other = await makeTeam();
    expectRefusal(await get('alice', pathOf(other.teamId, { q: 'lunch', cursor })), 'CURSOR_INVALID');
  });

  it('is narrowed to a channel, an author and a time', async () => {
    const team = await makeTeam();
    const channelId = randomUUID();
    await command('alice', team.teamId, 'channel.create', { kind: 'private', name: 'other' }, channelId);
    await speak('alice', { ...team, channelId }, 'report elsewhere');
    const first = (await say('bob', team, 'report of bob')).body.message;
    const minSeq = await speak('alice', team, 'report of alice');
    const texts = async (query: Query) =>
      textsOf(await search('alice', team, { q: 'report', minSeq, ...query }));
    expect(await texts({})).toEqual(['report of alice', 'report of bob', 'report elsewhere']);
    expect(await texts({ channelId })).toEqual(['report elsewhere']);
    expect(await texts({ from: 'bob' })).toEqual(['report of bob']);
    expect(await texts({ before: first.at, channelId: team.channelId })).toEqual([]);
    expect(await texts({ after: first.at, from: 'bob' })).toEqual(['report of bob']);
  });

  it('shows nothing to who may not see it: strangers, the removed, those who joined later', async () => {
    const team = await makeTeam();
    const { teamId, channelId } = team;
    await speak('alice', team, 'secret one');
    expectRefusal(await get('carol', pathOf(teamId, { q: 'secret' })), 'TEAM_NOT_FOUND');
    await command('alice', teamId, 'member.add', { userId: 'carol' });
    await command('alice', teamId, 'member.remove', { userId: 'bob', channelId });
    const joined = await command('alice', teamId, 'member.add', { userId: 'carol', channelId });
    expect(textsOf(await search('carol', team, { q: 'secret', minSeq: joined.seq }))).toEqual([]);
    expectRefusal(
      await ask('bob', teamId, { q: 'secret', channelId, minSeq: joined.seq }),
      'CHANNEL_NOT_FOUND',
    );
    const minSeq = await speak('alice', team, 'secret two');
    expect(textsOf(await search('carol', team, { q: 'secret', minSeq }))).toEqual(['secret two']);
    expect(textsOf(await search('bob', team, { q: 'secret', minSeq }))).toEqual([]);
    const back = await command('alice', teamId, 'member.add', { userId: 'bob', channelId });
    expect(textsOf(await search('bob', team, { q: 'secret', minSeq: back.seq }))).toEqual([]);
    expect(textsOf(await search('alice', team, { q: 'secret', minSeq }))).toEqual([
      'secret two',
      'secret one',
    ]);
  });

  it('refuses what it cannot search for', async () => {
    const { teamId, seq } = await makeTeam();
    expectRefusal(await get('alice', pathOf(teamId, { q: ' ' })), 'SEARCH_QUERY_EMPTY');
    expectRefusal(await get('alice', pathOf(teamId, { q: 'a' })), 'SEARCH_QUERY_TOO_SHORT');
    expectRefusal(await get('alice', pathOf(teamId, { q: 'x'.repeat(300) })), 'SEARCH_QUERY_TOO_LONG');
    expectRefusal(await get('alice', pathOf(teamId, { q: 'word', from: 'no user' })), 'REQUEST_INVALID');
    expectRefusal(await get('alice', pathOf(teamId, { q: 'word', limit: 51 })), 'REQUEST_INVALID');
    expectRefusal(await get('alice', `/api/v1/search?teamId=${teamId}`), 'REQUEST_INVALID');
    expectRefusal(await get('alice', pathOf('00aaaaaaaaaaaaaa', { q: 'word' })), 'TEAM_NOT_FOUND');
    expectRefusal(
      await ask('alice', teamId, { q: 'word', channelId: randomUUID(), minSeq: seq }),
      'CHANNEL_NOT_FOUND',
    );
    expect((await fetch(stack.apiUrl + pathOf(teamId, { q: 'word' }))).status).toBe(401);
    const behind = await get('alice', pathOf(teamId, { q: 'word', minSeq: Number.MAX_SAFE_INTEGER }));
    expectRefusal(behind, 'READ_MODEL_BEHIND');
  });
});
