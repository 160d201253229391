/** With the read model in MongoDB and MongoDB gone: only reads are refused, and all comes back by itself. */

import { randomUUID } from 'node:crypto';
import type { ChannelId } from '@chat/contracts/ids';
import { eventually } from '@chat/testkit/checking/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readinessOf } from './readiness.ts';
import { type World, explainFailures, startWorld, user } from './world.ts';

const alice = user('alice');
const bob = user('bob');
/** Longer than a read may take before it is refused (5 s, and once more). */
const REFUSED_TIMEOUT_MS = 30_000;
/** I5; more on a machine that others use too. */
const BACK_TIMEOUT_MS = 60_000;

let world: World;
let channelId: ChannelId;

beforeAll(async () => {
  world = await startWorld({ users: [alice, bob], readStore: 'mongodb' });
  channelId = await world.channel('private', 'room', alice, [bob]);
  await world.quiet();
}, 120_000);

explainFailures(() => world);
afterAll(async () => world?.[Symbol.asyncDispose]());

describe('while mongod is gone', () => {
  it('messages are persisted, delivered and resumed', async () => {
    const offline = await world.wire(bob, 1);
    const cursor = offline.cursor();
    await offline.close();
    const sender = await world.wire(alice, 0);
    const reader = await world.wire(bob, 1);
    await world.stack.kill('mongod');

    const bySocket = sender.say(channelId, 'by socket');
    expect(await sender.outcome(bySocket)).toMatchObject({ t: 'persisted' });
    const byHttp = randomUUID();
    const { status } = await (await world.api(alice)).say(channelId, 'by HTTP', byHttp);
    expect(status).toBe(201);
    const wanted = [bySocket, byHttp];
    await eventually('bob has both, live', () => wanted.every((id) => has(reader.events, id)));

    // A socket opened now: its membership and its replay need no read store either.
    const resumed = await world.wire(bob, 0, { cursor });
    expect((await resumed.welcome()).resume).toBe('replayed');
    await eventually('bob has both, resumed', () => wanted.every((id) => has(resumed.events, id)));
    for (const session of [sender, reader, resumed]) await session.close();
  });

  it('reads are refused with 503, a code and when to try again; readiness says why', async () => {
    const reads = await world.api(bob);
    const refused = await eventually(
      'a read is refused',
      async () => {
        const answer = await reads.channels();
        return answer.status === 200 ? undefined : answer;
      },
      { timeoutMs: REFUSED_TIMEOUT_MS },
    );
    expect(refused).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE', retryable: true } });
    expect(refused.body.retryAfterMs).toBeGreaterThan(0);

    const namesMongo = (name: string, check: string): Promise<true> =>
      eventually(
        `${name} says what it lacks`,
        async () => {
          const { status, body } = await readinessOf(world.stack.healthUrl(name));
          const found = body.checks[check];
          // Before it is given up, a question that is late may be all that is known.
          return status === 503 && found?.ok === false && /mongodb/i.test(found.reason ?? '');
        },
        { timeoutMs: REFUSED_TIMEOUT_MS },
      );
    await namesMongo('api-1', 'store');
    await namesMongo('projector-1', `partition-${world.partition}`);
    for (const name of ['gateway-1', 'writer-1'])
      expect((await readinessOf(world.stack.healthUrl(name))).status, name).toBe(200);
  });
});

describe('when mongod is back', () => {
  it('reads have everything that was written meanwhile, without a hand', async () => {
    const sender = await world.wire(alice, 0);
    const last = sender.say(channelId, 'the last one without it');
    await sender.outcome(last);
    await sender.close();
    await world.stack.start('mongod');
    const lastSeq = await world.quiet(BACK_TIMEOUT_MS);
    const texts = (await (await world.api(bob)).history(channelId, lastSeq)).map(({ text }) => text);
    expect(texts).toEqual(['by socket', 'by HTTP', 'the last one without it']);
    for (const name of ['api-1', 'projector-1']) await world.stack.ready(name, BACK_TIMEOUT_MS);
  });
});

const has = (events: readonly { readonly commandId?: string }[], id: string): boolean =>
  events.some(({ commandId }) => commandId === id);
