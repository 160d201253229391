import { randomUUID } from 'node:crypto';
import type {
  ChannelsResponse,
  CreateTeamResponse,
  ListPage,
  MembersResponse,
  MessagesResponse,
  TeamsResponse,
} from '@chat/contracts/http';
import { describe, expect, it } from 'vitest';
import {
  type Team,
  command,
  expectRefusal,
  get,
  makeTeam,
  messagesPath,
  post,
  say,
  useStack,
} from './testing/api-stack.ts';

useStack();

const membersPath = ({ teamId, channelId }: Team, more = ''): string =>
  `/api/v1/channels/${channelId}/members?teamId=${teamId}${more}`;
const channelsPath = ({ teamId }: Team, more = ''): string => `/api/v1/channels?teamId=${teamId}${more}`;

/** All pages; `between` runs after each page that is not the last. */
const walk = async <P extends ListPage>(
  as: string,
  path: (cursor: string) => string,
  between: () => Promise<unknown> = async () => {},
): Promise<P[]> => {
  const pages: P[] = [];
  for (let cursor = ''; ;) {
    const { status, body } = await get<P>(as, path(cursor));
    expect(status, JSON.stringify(body)).toBe(200);
    pages.push(body);
    if (body.nextCursor === undefined) return pages;
    cursor = `&cursor=${body.nextCursor}`;
    await between();
  }
};

const seqsOf = (page: MessagesResponse): number[] => page.messages.map(({ channelSeq }) => channelSeq);

describe('a history', () => {
  it('is paged by cursors from the newest to the first message and back, while messages come', async () => {
    const team = await makeTeam();
    let seq = 0;
    const speak = async () => {
      seq = (await say('alice', team, 'text')).body.message.seq;
    };
    for (let n = 0; n < 7; n += 1) await speak();
    const page = async (more: string): Promise<MessagesResponse> =>
      (await get<MessagesResponse>('bob', messagesPath(team, `${more}&limit=3&minSeq=${seq}`))).body;

    const newest = await page('');
    expect(seqsOf(newest)).toEqual([5, 6, 7]);
    expect(newest.nextCursor).toBeUndefined();
    await speak();
    const middle = await page(`&cursor=${newest.previousCursor}`);
    expect(seqsOf(middle)).toEqual([2, 3, 4]);
    await speak();
    const oldest = await page(`&cursor=${middle.previousCursor}`);
    expect(seqsOf(oldest)).toEqual([1]);
    expect(oldest.previousCursor).toBeUndefined();

    const back: number[] = [];
    for (let next: string | undefined = oldest.nextCursor; next !== undefined;) {
      const forward: MessagesResponse = await page(`&cursor=${next}`);
      back.push(...seqsOf(forward));
      next = forward.nextCursor;
    }
    expect(back).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);

    // An empty page knows where the rest is.
    const beyond = await page('&after=9');
    expect([seqsOf(beyond), beyond.nextCursor]).toEqual([[], undefined]);
    expect(seqsOf(await page(`&cursor=${beyond.previousCursor}`))).toEqual([7, 8, 9]);
    const below = await page('&before=1');
    expect([seqsOf(below), below.previousCursor]).toEqual([[], undefined]);
    expect(seqsOf(await page(`&cursor=${below.nextCursor}`))).toEqual([1, 2, 3]);
    const around = await page('&around=5');
    expect(seqsOf(await page(`&cursor=${around.previousCursor}`))).toEqual([1, 2, 3]);
    expect(seqsOf(await page(`&cursor=${around.nextCursor}`))).toEqual([7, 8, 9]);
  });
});

describe('a list', () => {
  it('of members is paged by user id, while some come and go', async () => {
    const team = await makeTeam();
    const { teamId, channelId } = team;
    const users = Array.from({ length: 9 }, (_, n) => `m${n}`);
    const add = async (userId: string) => {
      await command('alice', teamId, 'member.add', { userId });
      return command('alice', teamId, 'member.add', { userId, channelId });
    };
    await Promise.all(users.map(add));
    let { seq } = await add('last');
    let turn = 0;
    const pages = await walk<MembersResponse>(
      'bob',
      (cursor) => membersPath(team, `&limit=4&minSeq=${seq}${cursor}`),
      async () => {
        turn += 1;
        if (turn !== 1) return;
        // Behind where the reader stands, and before it.
        await command('alice', teamId, 'member.remove', { userId: 'm0', channelId });
        await command('alice', teamId, 'member.remove', { userId: 'm8', channelId });
        await add('a-late');
        ({ seq } = await add('m5-late'));
      },
    );
    const ids = pages.flatMap(({ members }) => members.map(({ userId }) => userId));
    expect(ids).toEqual(['alice', 'bob', 'last', 'm0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm5-late', 'm6', 'm7']);
    expect(pages.map(({ members }) => members.length)).toEqual([4, 4, 4]);
  });

  it('of channels is paged by id, whoever may see them; and of teams', async () => {
    const made: Team[] = [];
    for (let n = 0; n < 3; n += 1) made.push(await makeTeam());
    const team = made[0]!;
    const ids = [team.channelId];
    let last = 0;
    for (const kind of ['public', 'private', 'public', 'private'] as const) {
      const id = randomUUID();
      last = (await command('alice', team.teamId, 'channel.create', { kind, name: `${kind} ${id}` }, id)).seq;
      ids.push(id);
    }
    const read = async (as: string) =>
      (await walk<ChannelsResponse>(as, (more) => channelsPath(team, `&limit=2&minSeq=${last}${more}`))).map(
        ({ channels }) => channels.map(({ id }) => id),
      );
    expect((await read('alice')).flat()).toEqual([...ids].sort());
    expect((await read('alice')).map((page) => page.length)).toEqual([2, 2, 1]);
    expect((await read('bob')).flat()).toEqual([ids[0], ids[1], ids[3]].sort());

    const user = `u${randomUUID().slice(0, 8)}`;
    const teams: string[] = [];
    for (let n = 0; n < 3; n += 1) {
      const answer = await post<CreateTeamResponse>(user, '/api/v1/teams', {
        id: randomUUID(),
        name: 'team',
      });
      const { teamId, seq } = answer.body;
      await get(user, `/api/v1/teams?teamId=${teamId}&minSeq=${seq}`);
      teams.push(teamId);
    }
    const pages = await walk<TeamsResponse>(user, (more) => `/api/v1/teams?limit=2${more}`);
    expect(pages.map((page) => page.teams.map(({ id }) => id))).toEqual([
      [...teams].sort().slice(0, 2),
      [...teams].sort().slice(2),
    ]);
  });

  it('takes no cursor but its own', async () => {
    const [team, other] = [await makeTeam(), await makeTeam()];
    const { body: members } = await get<MembersResponse>(
      'bob',
      membersPath(team, `&limit=1&minSeq=${team.seq}`),
    );
    const cursor = members.nextCursor!;
    expect((await get('bob', membersPath(team, `&cursor=${cursor}`))).status).toBe(200);
    const foreign = [
      membersPath(other, `&cursor=${cursor}`),
      membersPath({ ...team, channelId: randomUUID() }, `&cursor=${cursor}`),
      messagesPath(team, `&cursor=${cursor}`),
      channelsPath(team, `&cursor=${cursor}`),
      `/api/v1/teams?cursor=${cursor}`,
      membersPath(team, `&cursor=${cursor.slice(0, -1)}`),
      membersPath(team, `&cursor=${cursor}A`),
      membersPath(team, '&cursor='),
      membersPath(team, `&cursor=${'A'.repeat(3_000)}`),
      membersPath(team, '&cursor=%00%F0%9F%98%80'),
    ];
    for (const path of foreign) expectRefusal(await get('bob', path), 'CURSOR_INVALID');
    expectRefusal(await get('bob', messagesPath(team, `&before=3&cursor=${cursor}`)), 'REQUEST_INVALID');
    for (const more of ['&limit=0', '&limit=1001', '&cursor=a&cursor=b'])
      expectRefusal(await get('bob', membersPath(team, more)), 'REQUEST_INVALID');
  });

  it('shows no page to one who was removed meanwhile, whatever cursor is held', async () => {
    const team = await makeTeam();
    const { teamId, channelId } = team;
    await say('alice', team, 'one');
    const { seq: said } = (await say('alice', team, 'two')).body.message;
    const held = {
      members: (await get<MembersResponse>('bob', membersPath(team, `&limit=1&minSeq=${said}`))).body,
      messages: (await get<MessagesResponse>('bob', messagesPath(team, `&limit=1&minSeq=${said}`))).body,
    };
    const { seq } = await command('alice', teamId, 'member.remove', { userId: 'bob', channelId });
    const members = membersPath(team, `&cursor=${held.members.nextCursor}&minSeq=${seq}`);
    expectRefusal(await get('bob', members), 'CHANNEL_NOT_FOUND');
    const messages = messagesPath(team, `&cursor=${held.messages.previousCursor}&minSeq=${seq}`);
    expectRefusal(await get('bob', messages), 'CHANNEL_NOT_FOUND');
  });
});
