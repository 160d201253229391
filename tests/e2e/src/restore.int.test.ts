/**
 * PostgreSQL comes back older than EVT (restore to a point in time, failover without a synchronous standby): what
 * clients were told stands again, under the same numbers; where the two have diverged nothing is written (R10.6).
 */

import { randomUUID } from 'node:crypto';
import type { ChannelId } from '@chat/contracts/ids';
import { evtStream } from '@chat/contracts/streams';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkHistory, describeViolations } from '@chat/testkit/checking/checker';
import { query, readLog, readStream, streamInfo } from '@chat/testkit/checking/collect';
import { eventually } from '@chat/testkit/checking/eventually';
import type { Send } from '@chat/testkit/checking/history';
import { backupDatabase, restoreDatabase } from './operations.ts';
import { type Readiness, readinessOf } from './readiness.ts';
import { type World, explainFailures, startWorld, user } from './world.ts';

const alice = user('alice');
const bob = user('bob');

let world: World;
let channelId: ChannelId;
let sends: Send[];

beforeEach(async () => {
  world = await startWorld({ users: [alice, bob] });
  channelId = await world.channel('private', 'kept', alice, [bob]);
  sends = [];
}, 60_000);

explainFailures(() => world);
afterEach(async () => world?.[Symbol.asyncDispose]());

const sayAll = async (texts: readonly string[], gateway = 0): Promise<void> => {
  const session = await world.wire(alice, gateway);
  const ids = texts.map((text) => session.say(channelId, text));
  for (const [i, id] of ids.entries()) {
    const outcome = await session.outcome(id, 30_000);
    if (outcome.t !== 'persisted') throw new Error(`${texts[i] ?? ''}: ${outcome.code}`);
    const verdict = { kind: 'persisted', seq: outcome.seq, duplicate: false } as const;
    sends.push({ sender: alice, order: sends.length, id, channelId, text: texts[i] ?? '', verdict });
  }
  await session.close();
};
const texts = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix} ${i}`);

const expectSound = async (): Promise<void> => {
  await world.quiet(40_000);
  const history = await (await world.api(bob)).history(channelId);
  const violations = checkHistory({
    teamId: world.teamId,
    log: await readLog(world.databaseUrl, world.partition),
    stream: await readStream(world.nats, world.partition),
    commands: await world.commands(),
    sends,
    observers: [],
    api: [{ userId: bob, channelId, messages: history }],
  });
  expect(violations, describeViolations(violations)).toEqual([]);
  expect(history.map(({ text }) => text)).toEqual(sends.map(({ text }) => text));
};

describe('PostgreSQL set back to an older state while EVT stays', () => {
  it('is adopted: all that clients saw as persisted is there, and the ids of old sends are known', async () => {
    await sayAll(texts('in the backup', 20));
    await world.quiet();
    await using backup = await backupDatabase(world);
    await sayAll(texts('after the backup', 30));
    const added = await world.channel('public', 'made after the backup', alice, [bob]);
    const known = sends.at(-1);
    const device = await world.wire(bob, 1);
    const cursor = device.cursor();
    await device.close();
    const end = await world.quiet();

    await restoreDatabase(world, backup);
    await eventually(
      'the log reaches the stream again',
      async () => {
        const log = await readLog(world.databaseUrl, world.partition);
        return log.length >= end;
      },
      { timeoutMs: 40_000 },
    );
    await expectSound();

    // It goes on from there: new messages, the adopted channel, a repeat of an adopted id, a resume over the restore.
    await sayAll(texts('after the restore', 10), 1);
    const session = await world.wire(alice, 0);
    expect(await session.outcome(session.say(added, 'in the adopted channel'), 20_000)).toMatchObject({
      t: 'persisted',
    });
    if (known?.verdict?.kind !== 'persisted') throw new Error('nothing was sent');
    session.say(channelId, known.text, known.id);
    expect(await session.outcome(known.id, 20_000)).toEqual({
      t: 'persisted',
      id: known.id,
      seq: known.verdict.seq,
      duplicate: true,
    });
    session.say(channelId, 'another text', known.id);
    await session.frame(
      'a refusal',
      (f) => (f.t === 'rejected' && f.code === 'MSG_DUPLICATE_SEND' ? true : undefined),
      20_000,
    );
    await session.close();
    const resumed = await world.wire(bob, 0, { cursor });
    expect((await resumed.welcome()).resume).toBe('replayed');
    await resumed.close();
    await expectSound();
  }, 120_000);

  it('and then written to by another hand is halted: a clear reason, nothing written, nothing told', async () => {
    await sayAll(texts('in the backup', 10));
    await world.quiet();
    await using backup = await backupDatabase(world);
    await sayAll(texts('after the backup', 10));
    await world.quiet();
    const streamBefore = await streamInfo(world.nats, evtStream(world.partition));

    await restoreDatabase(world, backup, () => writeForeignRows(5));
    const logBefore = await readLog(world.databaseUrl, world.partition);
    const health: Readiness = await eventually(
      'the writer says that the partition is halted',
      async () => {
        const answer = await readinessOf(world.stack.healthUrl('writer-1'));
        return /diverge|differ|halt/i.test(JSON.stringify(answer.body)) ? answer : undefined;
      },
      { timeoutMs: 40_000 },
    );
    expect(health.status).toBe(503);
    expect(JSON.stringify(health.body)).toContain(String(world.partition));

    const session = await world.wire(alice, 0);
    const id = session.say(channelId, 'must not be written');
    const told = await session.outcome(id, 8_000).catch(() => undefined);
    expect(told === undefined || (told.t === 'rejected' && told.retryable)).toBe(true);
    const answer = await (await world.api(alice)).say(channelId, 'nor this', randomUUID());
    expect([202, 503]).toContain(answer.status);
    session.terminate();
    expect(await readLog(world.databaseUrl, world.partition)).toEqual(logBefore);
    expect((await streamInfo(world.nats, evtStream(world.partition))).lastSeq).toBe(streamBefore.lastSeq);
  }, 120_000);
});

/** What a second writer would have left in a database that was believed lost: rows of the same ids, other content. */
const writeForeignRows = async (count: number): Promise<void> => {
  const [last] = await query<{ id: string; payload: string }>(
    world.databaseUrl,
    'SELECT id, payload FROM event_log WHERE p = $1 ORDER BY id DESC LIMIT 1',
    [world.partition],
  );
  if (!last) throw new Error('the restored log is empty');
  for (let i = 1; i <= count; i += 1) {
    const id = Number(last.id) + i;
    const commandId = randomUUID();
    const payload = last.payload
      .replace(`"seq":${last.id},`, `"seq":${id},`)
      .replace(/"commandId":"[^"]+"/, `"commandId":"${commandId}"`);
    await query(
      world.databaseUrl,
      `INSERT INTO event_log (p, id, team_id, scope, type, version, command_id, payload, at)
       SELECT p, $2, team_id, scope, type, version, $3, $4, at FROM event_log WHERE p = $1 AND id = $5`,
      [world.partition, id, commandId, payload, last.id],
    );
  }
  await query(world.databaseUrl, 'UPDATE partition SET next_id = next_id + $2 WHERE p = $1', [
    world.partition,
    count,
  ]);
};
