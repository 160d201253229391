import { expect, it } from 'vitest';
import { encodeEvent } from '@chat/contracts/events';
import { type TeamId, makeTeamId, parseCommandId, parseUserId } from '@chat/contracts/ids';
import { evtSubject } from '@chat/contracts/subjects';
import { commandKey } from '../feed/event-peek.ts';
import { Partition } from '../feed/partition.ts';
import { createMessageLimit } from '@chat/platform/limits/message-limit';
import { Session } from '../session/session.ts';
import type { Socket } from '../uws-server.ts';
import { newStats } from '../testing/stats.ts';
import { createOutcomes } from './outcomes.ts';
import type { Waiter } from './waiter.ts';

const ann = parseUserId('ann')!;
const id = parseCommandId('018f0000-0000-7000-8000-00000000000a')!;
const hash = 'hash000000000000';

it('one id, sent by one user in two teams, is two commands: the event of one settles nothing in the other', () => {
  const told: string[] = [];
  const outcomes = createOutcomes({
    limit: createMessageLimit({ burstCount: 9, burstMs: 9, sustainedPerMinuteCount: 9 }),
    stats: newStats(),
    sendSoon: (session, frame) => void told.push(`${session.id}: ${frame}`),
    nowMs: () => 0,
  });
  const wait = (sessionId: string, teamId: TeamId): void => {
    const partition = new Partition(0, { maxCount: 1, maxBytes: 1, maxAgeMs: 1 });
    const session = new Session(sessionId, {} as Socket, teamId, partition, undefined, 0);
    session.state = 'live';
    const waiter: Waiter = {
      session,
      id,
      name: 'member.add',
      hash,
      key: commandKey(id, hash, ann),
      subject: '',
      payload: Buffer.alloc(0),
      state: 'stored',
      takenAtMs: 0,
      attemptCount: 1,
      firstTriedAtMs: 0,
      storedAtMs: 0,
      storedSeq: 1,
      isRepeat: false,
      next: undefined,
    };
    outcomes.add(waiter);
  };
  const [one, two] = [makeTeamId(0, new Uint8Array(9)), makeTeamId(1, new Uint8Array(9))];
  wait('one', one);
  wait('two', two);
  const observe = (seq: number, team: TeamId, type: 'team.member_added' | 'command.rejected'): void => {
    const data = '{"name":"member.add","code":"FORBIDDEN","message":"no"}';
    const event = encodeEvent(seq, type, 1, 0, undefined, undefined, id, hash, ann, data);
    outcomes.observe(seq, evtSubject(team, 't'), Buffer.from(event));
  };
  observe(7, two, 'team.member_added');
  expect(told).toEqual([`two: {"t":"persisted","id":"${id}","seq":7}`]);
  observe(9, one, 'command.rejected');
  expect(told.length).toBe(2);
  expect(told[1]).toContain('one: {"t":"rejected"');
  expect(outcomes.size).toBe(0);
});
