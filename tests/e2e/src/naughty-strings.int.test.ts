/** Message texts as they come: stored and returned byte for byte on every way, or refused with a code. */

import { randomUUID } from 'node:crypto';
import { errorCatalogue, isErrorCode } from '@chat/contracts/errors';
import type { EventElement } from '@chat/contracts/events';
import type { Cursor } from '@chat/contracts/frames';
import type { ChannelId } from '@chat/contracts/ids';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLog } from '@chat/testkit/checking/collect';
import { eventually } from '@chat/testkit/checking/eventually';
import { type NaughtyString, naughtyStrings, tooLargeCodes } from './naughty-strings.ts';
import type { WireSession } from '@chat/testkit/checking/wire-session';
import { type World, explainFailures, startWorld, user } from './world.ts';

const alice = user('alice');
const bob = user('bob');

/** Past this the WebSocket parser itself ends the socket (1006 or 1009) instead of the gateway answering. */
const PARSER_MAX = 256 * 1024;
const parserCloses = ['closed with 1006', 'closed with 1009'];

type Sent = NaughtyString & { readonly entry: 'ws' | 'http'; readonly id: string; readonly answer: string };

let world: World;
let channelId: ChannelId;
let bobLive: WireSession;
let before: Cursor;
const sent: Sent[] = [];

/** 'stored', or the code of the refusal. */
const overWs = async (session: WireSession, text: string, id: string): Promise<string> => {
  const from = session.frames.length;
  session.say(channelId, text, id);
  return session
    .frame(`an answer to ${id}`, (frame) => {
      if (frame.t === 'persisted' && frame.id === id) return 'stored';
      if (frame.t === 'rejected' && frame.id === id) return frame.code;
      // A frame that was refused whole has no id; sends go one by one here, so a new error is this one's answer.
      return frame.t === 'error' && session.frames.indexOf(frame) >= from ? frame.code : undefined;
    })
    .catch(async () => `closed with ${(await session.closed).code}`);
};

const overHttp = async (text: string, id: string): Promise<string> => {
  const { status, body } = await (await world.api(alice)).say(channelId, text, id);
  if (status === 201) return 'stored';
  expect(isErrorCode(body.code), `HTTP ${status} has a code of the catalogue`).toBe(true);
  expect(errorCatalogue[body.code].status).toBe(status);
  return body.code;
};

beforeAll(async () => {
  world = await startWorld({ users: [alice, bob] });
  channelId = await world.channel('private', 'strings', alice, [bob]);
  bobLive = await world.wire(bob, 1);
  before = bobLive.cursor();
  let session = await world.wire(alice, 0);
  for (const naughty of naughtyStrings) {
    for (const entry of ['ws', 'http'] as const) {
      if (!session.isOpen()) session = await world.wire(alice, 0); // an entry may close on a frame far too large
      const id = randomUUID();
      const answer =
        entry === 'ws' ? await overWs(session, naughty.text, id) : await overHttp(naughty.text, id);
      sent.push({ ...naughty, entry, id, answer });
    }
  }
  await world.quiet();
}, 120_000);

explainFailures(() => world);
afterAll(async () => world?.[Symbol.asyncDispose]());

const messages = (events: readonly EventElement[]): Map<string, string> =>
  new Map(events.flatMap((e) => (e.type === 'message.sent' ? [[e.commandId as string, e.data.text]] : [])));

/** Compares by code units, and names the text instead of printing 32 KiB of it. */
const expectSame = (found: Map<string, string>, way: string): void => {
  const stored = sent.filter(({ answer }) => answer === 'stored');
  const wrong = stored.filter(({ id, text }) => found.get(id) !== text);
  expect(wrong.map(({ name, entry }) => `${name} (sent by ${entry}) over ${way}`)).toEqual([]);
  const known = new Set(stored.map(({ id }) => id));
  expect([...found.keys()].filter((id) => !known.has(id))).toEqual([]);
};

describe('texts as they come', () => {
  it('are stored or refused as the contract says, with equal answers over WebSocket and HTTP', () => {
    const allowed = ({ fate, text }: Sent): readonly string[] => {
      if (fate !== 'large') return [fate];
      return ['stored', ...tooLargeCodes, ...(text.length > PARSER_MAX ? parserCloses : [])];
    };
    const wrong = sent.filter((one) => !allowed(one).includes(one.answer));
    expect(
      wrong.map(({ name, entry, fate, answer }) => `${name} (${entry}): ${answer}, not ${fate}`),
    ).toEqual([]);
  });

  it('come back byte for byte in live events', async () => {
    const count = sent.filter(({ answer }) => answer === 'stored').length;
    await eventually('bob has all of them', () => messages(bobLive.events).size >= count);
    expectSame(messages(bobLive.events), 'live events');
  });

  it('come back byte for byte in a resume', async () => {
    const resumed = await world.wire(bob, 0, { cursor: before });
    expect((await resumed.welcome()).resume).toBe('replayed');
    const count = sent.filter(({ answer }) => answer === 'stored').length;
    await eventually('the replay has all of them', () => messages(resumed.events).size >= count);
    expectSame(messages(resumed.events), 'resume');
    await resumed.close();
  });

  it('come back byte for byte from the API', async () => {
    const history = await (await world.api(bob)).history(channelId);
    expectSame(new Map(history.map(({ id, text }) => [id, text])), 'the API');
  });

  it('stand byte for byte in PostgreSQL', async () => {
    const log = await readLog(world.databaseUrl, world.partition);
    expectSame(messages(log.map(({ payload }) => JSON.parse(payload) as EventElement)), 'event_log');
  });

  it('are refused with a code when their bytes are not UTF-8', async () => {
    for (const bytes of ['eda080', 'edb080eda080', 'ff', 'c080', 'f5808080', 'c3']) {
      const session = await world.wire(alice, 0);
      const head = Buffer.from(
        `{"t":"cmd","id":"${randomUUID()}","name":"message.send","data":{"channelId":"${channelId}","text":"`,
      );
      session.write(Buffer.concat([head, Buffer.from(bytes, 'hex'), Buffer.from('"}}')]));
      const code = await session
        .frame('a refusal', (frame) =>
          frame.t === 'error' || frame.t === 'rejected' ? frame.code : undefined,
        )
        .catch(async () => `closed with ${(await session.closed).code}`);
      // RFC 6455: the connection is failed (1007, or without a close frame, which is 1006); a coded error is clearer.
      expect(['FRAME_NOT_TEXT', 'closed with 1007', 'closed with 1006']).toContain(code);
      session.terminate();
    }
    const { status, body } = await (
      await world.api(alice)
    ).request('/api/v1/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.concat([
        Buffer.from(
          `{"teamId":"${world.teamId}","messageId":"${randomUUID()}","channelId":"${channelId}","text":"`,
        ),
        Buffer.from('eda080', 'hex'),
        Buffer.from('"}'),
      ]),
    });
    expect(status).toBe(400);
    expect(isErrorCode((body as { code?: unknown }).code)).toBe(true);
  });
});
