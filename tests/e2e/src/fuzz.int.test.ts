/**
 * Hostile bytes and JSON against the real processes: neither gateway nor api ever crashes (same pid, still serving),
 * and every answer is a coded one. The seed is printed; run again with FUZZ_SEED=<seed>.
 */

import { isUtf8 } from 'node:buffer';
import { randomInt, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { clientFrameSchemas } from '@chat/contracts/frames';
import type { ServerFrame } from '@chat/contracts/frames';
import { errorCatalogue, isErrorCode } from '@chat/contracts/errors';
import type { ChannelId } from '@chat/contracts/ids';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { within } from '@chat/testkit/checking/eventually';
import { type WireSession, openWire } from '@chat/testkit/checking/wire-session';
import { type World, explainFailures, startWorld, user } from './world.ts';

const alice = user('alice');
const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));
const runs = (numRuns: number) => ({ seed, numRuns, endOnFailure: true });

let world: World;
let channelId: ChannelId;
let pids: readonly number[];
const watched = ['gateway-1', 'gateway-2', 'api-1'] as const;

beforeAll(async () => {
  console.info(`fuzz seed ${seed}`);
  world = await startWorld({ users: [alice] });
  channelId = await world.channel('public', 'target', alice, []);
  pids = watched.map((name) => world.stack.pid(name));
}, 60_000);

explainFailures(() => world);
afterAll(async () => world?.[Symbol.asyncDispose]());

const hostileText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom('', '\u0000', '\uD800', '__proto__', 'null', '{"t":"hello"}', 'a'.repeat(3_000)),
);
const json = fc.jsonValue({ maxDepth: 6, noUnicodeString: false });

/** Frames that are nearly right: a real type with each field right, wrong, missing or surplus. */
const nearlyFrame = fc
  .record(
    {
      t: fc.oneof(fc.constantFrom(...Object.keys(clientFrameSchemas), 'welcome', 'events'), json),
      id: fc.oneof(fc.uuid(), hostileText, json),
      name: fc.oneof(fc.constantFrom('message.send', 'channel.create', 'team.create', 'toString'), json),
      data: fc.oneof(
        fc.record(
          {
            channelId: fc.oneof(fc.constant('CHANNEL'), fc.uuid(), json),
            text: fc.oneof(hostileText, json),
            kind: fc.oneof(fc.constantFrom('public', 'direct'), json),
            memberIds: json,
            channelSeq: json,
            userId: fc.oneof(hostileText, json),
          },
          { requiredKeys: [] },
        ),
        json,
      ),
      token: fc.oneof(hostileText, json),
      cursor: json,
      seq: fc.oneof(fc.integer(), fc.double(), json),
      channelId: fc.oneof(fc.constant('CHANNEL'), json),
      state: json,
      ['__proto__']: json,
    },
    { requiredKeys: [] },
  )
  .map((frame) => JSON.stringify(frame));

const deep = fc
  .integer({ min: 10, max: 5_000 })
  .chain((depth) => fc.constantFrom('[', '{"a":').map((open) => open.repeat(depth)));
const cut = nearlyFrame.chain((text) => fc.nat(text.length).map((end) => text.slice(0, end)));

type Hostile = { readonly data: string | Uint8Array; readonly binary: boolean };
const hostile: fc.Arbitrary<Hostile> = fc.oneof(
  { weight: 6, arbitrary: nearlyFrame.map((data) => ({ data, binary: false })) },
  { weight: 2, arbitrary: json.map((value) => ({ data: JSON.stringify(value) ?? '', binary: false })) },
  { weight: 2, arbitrary: cut.map((data) => ({ data, binary: false })) },
  { weight: 1, arbitrary: deep.map((data) => ({ data, binary: false })) },
  { weight: 1, arbitrary: hostileText.map((data) => ({ data, binary: false })) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((data) => ({ data, binary: true })) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((data) => ({ data, binary: false })) },
);

/** Frames the contract lets pass without an answer. */
const mayBeSilent = ({ data, binary }: Hostile): boolean => {
  if (binary) return false;
  try {
    const frame = JSON.parse(typeof data === 'string' ? data : Buffer.from(data).toString()) as {
      t?: unknown;
    };
    return ['ack', 'typing', 'presence', 'reauth'].includes(String(frame.t));
  } catch {
    return false;
  }
};

const knownFrames: readonly ServerFrame['t'][] = [
  'welcome',
  'events',
  'accepted',
  'persisted',
  'rejected',
  'tick',
  'typing',
  'presence',
  'draining',
  'error',
  'pong',
];
const expectClear = (frames: readonly ServerFrame[]): void => {
  for (const frame of frames) {
    expect(knownFrames).toContain(frame.t);
    if (frame.t !== 'error' && frame.t !== 'rejected') continue;
    expect(isErrorCode(frame.code), `${frame.t} ${frame.code} is in the catalogue`).toBe(true);
    expect(frame.code, 'a hostile frame is never an unexpected fault').not.toBe('INTERNAL');
    expect(frame.retryable).toBe(errorCatalogue[frame.code].retryable);
    expect(frame.message.length).toBeGreaterThan(0);
  }
};

/** Sends each frame with a ping behind it and looks at what came until the pong or the close. */
const attack = async (session: WireSession, attacks: readonly Hostile[]): Promise<void> => {
  for (const hostileFrame of attacks) {
    if (!session.isOpen()) return;
    const from = session.frames.length;
    const id = randomUUID();
    const data =
      typeof hostileFrame.data === 'string'
        ? hostileFrame.data.replaceAll('CHANNEL', channelId)
        : hostileFrame.data;
    session.write(data, { binary: hostileFrame.binary });
    session.write({ t: 'ping', id });
    const end = await session
      .frame('pong', (frame) => (frame.t === 'pong' && frame.id === id ? 'pong' : undefined))
      .catch(() => within(session.closed, 5_000, 'pong or close'));
    const answers = session.frames.slice(from).filter(({ t }) => !(t === 'pong') && t !== 'tick');
    expectClear(answers);
    const quiet = answers.filter(({ t }) => t !== 'events').length === 0;
    // A ping may itself be what was sent; its pong then is the answer.
    const pongs = session.frames.slice(from).filter(({ t }) => t === 'pong').length;
    if (end === 'pong') expect(!quiet || pongs > 1 || mayBeSilent(hostileFrame), String(data)).toBe(true);
    else
      expect(isClearClose(end.code, hostileFrame), `closed with ${end.code} after ${String(data)}`).toBe(
        true,
      );
  }
};
/**
 * Ours, or the ones RFC 6455 has for what is no frame or no UTF-8. uWebSockets.js ends a socket whose text frame is
 * not UTF-8 before the gateway hears of it, without a close frame (1006): the only frames that get no coded answer.
 */
const isClearClose = (code: number, { data, binary }: Hostile): boolean =>
  (code >= 4000 && code < 5000) ||
  [1002, 1007, 1009].includes(code) ||
  (code === 1006 && !binary && typeof data !== 'string' && !isUtf8(data));

const expectAlive = async (): Promise<void> => {
  expect(watched.map((name) => world.stack.pid(name))).toEqual(pids);
  for (const gateway of [0, 1]) {
    const session = await world.wire(alice, gateway);
    const id = session.say(channelId, `still serving ${randomUUID()}`);
    expect(await session.outcome(id)).toMatchObject({ t: 'persisted' });
    await session.close();
  }
  expect((await (await world.api(alice)).channels()).status).toBe(200);
};

describe('hostile frames', () => {
  it('in a welcomed session get a coded answer and leave the gateway serving', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 12 }), async (attacks) => {
        const session = await world.wire(alice, 0);
        await attack(session, attacks);
        session.terminate();
      }),
      runs(120),
    );
    await expectAlive();
  }, 60_000);

  it('before hello get a coded answer or a clear close', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 3 }), async (attacks) => {
        const gatewayUrl = world.gatewayUrls[1] ?? '';
        const session = await openWire({ gatewayUrl, teamId: world.teamId });
        await attackBeforeHello(session, attacks);
        session.terminate();
      }),
      runs(120),
    );
    await expectAlive();
  }, 60_000);

  it('that are a good hello with a hostile cursor are welcomed, and told when to take a snapshot', async () => {
    const { epoch, seq: head } = (await world.wire(alice, 0)).cursor();
    const cursors = fc.record({
      epoch: fc.oneof(fc.constant(epoch), fc.string({ unit: 'binary', minLength: 1, maxLength: 64 })),
      seq: fc.oneof(fc.nat(head), fc.maxSafeNat(), fc.constantFrom(0, 2 ** 31, 2 ** 32 + 1, 2 ** 53 - 1)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(cursors, { minLength: 8, maxLength: 8 }), async (batch) => {
        await Promise.all(
          batch.map(async (cursor) => {
            const session = await world.wire(alice, 1, { cursor });
            const welcome = await session.welcome();
            if (cursor.epoch !== epoch) expect(welcome.reason).toBe('epoch_changed');
            else if (cursor.seq > welcome.head) expect(welcome.reason).toBe('unknown_future');
            else expect(welcome.resume).toBe('replayed');
            session.terminate();
          }),
        );
      }),
      runs(8),
    );
    await expectAlive();
  }, 60_000);

  it('over the size limit are refused and change nothing', async () => {
    const session = await world.wire(alice, 0);
    const before = session.cursor();
    session.write(JSON.stringify({ t: 'ping', id: 'x'.repeat(70_000) }));
    const code = await session
      .frame('a refusal', (frame) => (frame.t === 'error' ? frame.code : undefined))
      .catch(async () => (await session.closed).code);
    expect(['FRAME_TOO_LARGE', 1009]).toContain(code);
    session.terminate();
    const hello = await openWire({ gatewayUrl: world.gatewayUrls[0] ?? '', teamId: world.teamId });
    hello.write(JSON.stringify({ t: 'hello', token: 'x'.repeat(5_000) }));
    const refusal = await hello
      .frame('a refusal', (frame) => (frame.t === 'error' ? frame.code : undefined))
      .catch(async () => (await hello.closed).code);
    expect(['FRAME_TOO_LARGE', 1009]).toContain(refusal);
    hello.terminate();
    expect((await world.quiet()) >= before.seq).toBe(true);
    await expectAlive();
  });

  it('that are no WebSocket at all do not harm the gateway', async () => {
    const port = Number(new URL(world.gatewayUrls[0] ?? '').port);
    const upgrade = `GET /ws/${world.teamId} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.uint8Array({ minLength: 1, maxLength: 500 }),
        async (first, bytes) => {
          await rawExchange(port, Buffer.concat([Buffer.from(first ? upgrade : ''), bytes]), first);
        },
      ),
      runs(60),
    );
    await expectAlive();
  }, 30_000);
});

/** Before hello every frame but a good hello ends in an `error` frame, a close, or both. */
const attackBeforeHello = async (session: WireSession, attacks: readonly Hostile[]): Promise<void> => {
  for (const hostileFrame of attacks) {
    const { data, binary } = hostileFrame;
    if (!session.isOpen()) break;
    const from = session.frames.length;
    session.write(data, { binary });
    const end = await session
      .frame('an error', () => (session.frames.length > from ? 'frame' : undefined))
      .catch(() => within(session.closed, 5_000, `an answer to ${String(data)}`));
    expectClear(session.frames.slice(from));
    if (end !== 'frame') expect(isClearClose(end.code, hostileFrame), `closed with ${end.code}`).toBe(true);
  }
  expect(session.frames.filter(({ t }) => t !== 'error' && t !== 'pong')).toEqual([]);
};

/** Writes bytes to a port and waits until it answers with anything, closes, or has had half a second. */
const rawExchange = (port: number, bytes: Uint8Array, _upgraded: boolean): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    let answer = '';
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(done, 500);
    socket.on('data', (data) => (answer += data.toString('latin1')));
    socket.on('close', done);
    socket.on('error', done);
  });

const paths = fc.constantFrom(
  '/api/v1/messages',
  '/api/v1/commands',
  '/api/v1/teams',
  '/api/v1/channels',
  '/api/v1/channels/x/messages',
  '/api/v1/channels/CHANNEL/messages',
  '/api/v1/channels/CHANNEL/members',
  '/dev/token',
  '/api/v1/%00',
  '/api/v1/%E0%A4%A',
  '/nowhere',
);
const parameter = fc.tuple(
  fc.constantFrom('teamId', 'before', 'after', 'around', 'limit', 'minSeq', 'epoch', '__proto__', 'x'),
  fc.oneof(fc.constantFrom('TEAM', '-1', '1e99', 'NaN', '0', '9007199254740993'), hostileText),
);
const requests = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'),
  path: paths,
  query: fc.array(parameter, { maxLength: 4 }),
  contentType: fc.constantFrom(
    'application/json',
    'application/json; charset=utf-16',
    'text/plain',
    'multipart/form-data',
    'application/x-www-form-urlencoded',
    'x',
  ),
  authorization: fc.constantFrom(undefined, 'Bearer x', 'Bearer', 'Basic YTpi', `Bearer ${'a.'.repeat(500)}`),
  body: fc.oneof(
    nearlyFrame,
    fc
      .record(
        {
          teamId: fc.oneof(fc.constant('TEAM'), json),
          messageId: fc.oneof(fc.uuid(), json),
          id: fc.oneof(fc.uuid(), json),
          name: fc.oneof(fc.constantFrom('message.send', 'team.create', 'member.add'), json),
          data: json,
          channelId: fc.oneof(fc.constant('CHANNEL'), json),
          text: fc.oneof(hostileText, json),
          user: json,
        },
        { requiredKeys: [] },
      )
      .map((value) => JSON.stringify(value)),
    json.map((value) => JSON.stringify(value) ?? ''),
    cut,
    deep,
    hostileText,
    fc.constant('"'.padEnd(300_000, 'x')),
    fc.uint8Array({ maxLength: 300 }),
  ),
});

describe('hostile requests', () => {
  it('get a coded answer, never a fault, and leave the api serving', async () => {
    const api = await world.api(alice);
    await fc.assert(
      fc.asyncProperty(requests, async ({ method, path, query, contentType, authorization, body }) => {
        const place = (text: string) =>
          text.replaceAll('CHANNEL', channelId).replaceAll('TEAM', world.teamId);
        const search = query.map(([k, v]) => `${k}=${encodeURIComponent(place(v.toWellFormed()))}`).join('&');
        const { status, body: answer } = await api.request(`${place(path)}?${search}`, {
          method,
          headers: { 'content-type': contentType, ...(authorization ? { authorization } : {}) },
          ...(method === 'GET' ? {} : { body: typeof body === 'string' ? place(body) : Buffer.from(body) }),
        });
        if (status < 400) return;
        const { code, message, retryable } = answer as Record<string, unknown>;
        expect(isErrorCode(code), `${method} ${path}: ${status} ${JSON.stringify(answer)}`).toBe(true);
        if (!isErrorCode(code)) return;
        expect(code).not.toBe('INTERNAL');
        expect(status).toBe(errorCatalogue[code].status);
        expect(retryable).toBe(errorCatalogue[code].retryable);
        expect(typeof message).toBe('string');
      }),
      runs(400),
    );
    await expectAlive();
  }, 60_000);

  it('that are no HTTP at all get a 400 or a close and leave the api serving', async () => {
    const port = Number(new URL(world.apiUrl).port);
    const lines = [
      '\r\n\r\n',
      'GET\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'POST /api/v1/messages HTTP/1.1\r\nContent-Length: x\r\n\r\n',
    ];
    for (const line of lines) {
      const answer = await rawExchange(port, Buffer.from(line), false);
      if (answer) expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 500 }), async (bytes) => {
        const answer = await rawExchange(port, bytes, false);
        if (answer) expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
      }),
      runs(40),
    );
    await expectAlive();
  }, 30_000);
});
