/** Lists that come in pages, from a server that is told what to answer. */

import type { UserId } from '@chat/contracts/ids';
import { afterEach, expect, it } from 'vitest';
import {
  channelId,
  channelsAnswer,
  closeAll,
  eventually,
  isLive,
  json,
  startClient,
  startFaulty,
} from './testing/faulty-server.ts';

afterEach(closeAll);

const behind = { code: 'READ_MODEL_BEHIND', message: '', retryable: true, retryAfterMs: 1, lagCount: 3 };
const stale = { code: 'CURSOR_INVALID', message: '', retryable: false };

const channel = (n: number) => ({
  ...channelsAnswer.channels[0]!,
  id: `00000000-0000-7000-8000-00000000000${n}`,
  name: `channel ${n}`,
});

it('a snapshot is all pages of the channels, each read at least as new as the one before', async () => {
  const faulty = await startFaulty();
  let isRefused = false;
  faulty.onRequest = (url, response) => {
    const cursor = url.searchParams.get('cursor');
    if (cursor === null)
      return json(response, 200, {
        epoch: 'e1',
        asOf: 17,
        channels: [channel(1), channel(2)],
        nextCursor: 'two',
      });
    if (!isRefused) {
      isRefused = true;
      return json(response, 503, behind);
    }
    json(response, 200, { epoch: 'e1', asOf: 19, channels: [channel(3)] });
  };
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  expect(client.channels().map(({ name }) => name)).toEqual(['channel 1', 'channel 2', 'channel 3']);
  const asked = faulty.requests.map((path) => Object.fromEntries(new URLSearchParams(path.split('?')[1])));
  expect(asked.map(({ minSeq, cursor }) => [minSeq, cursor])).toEqual([
    ['10', undefined],
    ['17', 'two'],
    ['17', 'two'],
  ]);
});

it('a list whose cursor the api does not know any longer is read again from its beginning', async () => {
  const faulty = await startFaulty();
  let turn = 0;
  faulty.onRequest = (url, response) => {
    const cursor = url.searchParams.get('cursor');
    turn += 1;
    if (cursor === null && turn === 1)
      return json(response, 200, {
        epoch: 'e1',
        asOf: 17,
        channels: [channel(1), channel(2)],
        nextCursor: 'old',
      });
    if (cursor === 'old') return json(response, 400, stale);
    if (cursor === null)
      return json(response, 200, { epoch: 'e1', asOf: 18, channels: [channel(1)], nextCursor: 'new' });
    json(response, 200, { epoch: 'e1', asOf: 18, channels: [channel(3)] });
  };
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  expect(client.channels().map(({ name }) => name)).toEqual(['channel 1', 'channel 3']);
});

it('members of a channel are read from all pages, as of what was heard', async () => {
  const faulty = await startFaulty();
  const member = (userId: string) => ({ userId: userId as UserId, role: 'member' });
  faulty.onRequest = (url, response) => {
    if (!url.pathname.endsWith('/members')) return json(response, 200, channelsAnswer);
    const isFirst = url.searchParams.get('cursor') === null;
    const page = { epoch: 'e1', asOf: 20 };
    if (isFirst)
      json(response, 200, { ...page, members: [member('ann'), member('ben')], nextCursor: 'more' });
    else json(response, 200, { ...page, members: [member('cid')] });
  };
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  expect(await client.loadMembers(channelId)).toEqual({ ok: true });
  expect(client.members(channelId).map(({ userId }) => userId)).toEqual(['ann', 'ben', 'cid']);
  const first = faulty.requests.find((path) => path.includes('/members'));
  expect(first).toContain('minSeq=10');
});

it('a list whose cursors are never taken ends as refused, not as an endless question', async () => {
  const faulty = await startFaulty();
  faulty.onRequest = (url, response) => {
    if (!url.pathname.endsWith('/members')) return json(response, 200, channelsAnswer);
    if (url.searchParams.get('cursor') !== null) return json(response, 400, stale);
    json(response, 200, { epoch: 'e1', asOf: 20, members: [], nextCursor: 'bad' });
  };
  const client = await startClient(faulty);
  await eventually(isLive(client), 'live');
  expect(await client.loadMembers(channelId)).toMatchObject({ ok: false, error: { code: 'CURSOR_INVALID' } });
});
