import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { parseTeamId } from '@chat/contracts/ids';
import { Partition } from '../feed/partition.ts';
import type { Socket } from '../uws-server.ts';
import { newStats } from '../testing/stats.ts';
import { createHeartbeat } from './heartbeat.ts';
import { Session } from './session.ts';
import { createSessions } from './sessions.ts';

const HEARTBEAT_MS = 5_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('an idle session hears its ticks also after the clock was set back', () => {
  let clockMs = Date.now();
  const sent: string[] = [];
  const socket = { send: (frame: string) => (sent.push(frame), 'sent') } as unknown as Socket;
  const sessions = createSessions({
    maxBufferedBytes: 1,
    addOutbox: () => undefined,
    onGone: () => undefined,
    stats: newStats(),
    nowMs: () => clockMs,
  });
  const teamId = parseTeamId('00zzzzzzzzzzzzzz');
  if (!teamId) throw new Error('not a team id');
  const partition = new Partition(0, { maxCount: 10, maxBytes: 1_000, maxAgeMs: 1_000 });
  const session = new Session('s', socket, teamId, partition, undefined, clockMs);
  session.state = 'live';
  session.lastSentAtMs = clockMs;
  const scope = partition.tail.scope('evt.0.00zzzzzzzzzzzzzz.t');
  scope.publishedAtMs = clockMs;
  session.joined.add(scope);
  sessions.add(session);
  const heartbeat = createHeartbeat({
    sessions,
    replayer: undefined as never,
    asker: undefined as never,
    heartbeatMs: HEARTBEAT_MS,
    slowConsumerMaxMs: 1_000,
    nowMs: () => clockMs,
  });
  const pass = (ms: number): void => {
    clockMs += ms;
    vi.advanceTimersByTime(250);
  };
  heartbeat.start();
  pass(HEARTBEAT_MS - 1_000);
  expect(sent).toEqual([]);
  clockMs -= 3_600_000;
  pass(HEARTBEAT_MS);
  pass(HEARTBEAT_MS);
  expect(sent.length).toBeGreaterThan(0);
  const before = sent.length;
  pass(HEARTBEAT_MS / 4);
  expect(sent.length).toBe(before);
  heartbeat.stop();
});
