import type { ChannelId, UserId } from '@chat/contracts/ids';
import { expect, it } from 'vitest';
import { foldBatch, headsNeeded, touchedMembers } from './fold.ts';
import { LogFault } from './port.ts';
import { teams } from './testing/arbitrary-history.ts';
import { HistoryBuilder, uuidOf } from './testing/history-builder.ts';

const team = teams[0]!;
const [ann, ben] = ['ann', 'ben'] as [UserId, UserId];
const channelId = uuidOf(1) as ChannelId;

const joined = (): HistoryBuilder => {
  const builder = new HistoryBuilder();
  builder.createTeam(team, ann, 'team');
  builder.addTeamMember(team, ben, 'member');
  builder.createChannel(team, channelId, 'private', 'chat', [ann]);
  return builder;
};

it('a batch names each channel once whose head it needs, and each member it touches once', () => {
  const builder = joined();
  builder.say(team, channelId, ann, 'one');
  builder.say(team, channelId, ann, 'two');
  builder.mark(team, channelId, ann, 1);
  expect(headsNeeded(builder.events)).toEqual([{ teamId: team, channelId }]);
  expect(touchedMembers(builder.events).map(({ userId }) => userId)).toEqual([ann, ben]);
});

it('a join remembers where the channel stood, in the batch or in the store', () => {
  const builder = joined();
  builder.say(team, channelId, ann, 'one');
  builder.join(team, channelId, ben, 'member', 'private', 'chat');
  const whole = foldBatch(builder.events, []);
  expect([...whole.channelMembers.values()].find(({ userId }) => userId === ben)).toMatchObject({
    sinceChannelSeq: 1,
  });
  const head = { teamId: team, channelId, lastChannelSeq: 7, countedSeq: 7, seq: 3 };
  const later = foldBatch(builder.events.slice(-2), [head]);
  expect([...later.channelMembers.values()]).toMatchObject([{ userId: ben, sinceChannelSeq: 7 }]);
});

it('a removal from the team ends every stay that began before it and none that began after', () => {
  const builder = joined();
  builder.join(team, channelId, ben, 'member', 'private', 'chat');
  builder.removeTeamMember(team, ben);
  const ended = foldBatch(builder.events, []);
  expect([...ended.teamRemovals.values()]).toMatchObject([{ userId: ben }]);
  expect([...ended.channelMembers.values()].find(({ userId }) => userId === ben)).toMatchObject({
    removed: true,
  });
  builder.addTeamMember(team, ben, 'member');
  builder.join(team, channelId, ben, 'member', 'private', 'chat');
  const again = foldBatch(builder.events, []);
  expect([...again.channelMembers.values()].find(({ userId }) => userId === ben)).toMatchObject({
    removed: false,
  });
});

it('a message that the store already has (its head is beyond) is not folded again', () => {
  const builder = joined();
  builder.say(team, channelId, ann, 'one');
  const seq = builder.say(team, channelId, ann, 'two');
  const head = { teamId: team, channelId, lastChannelSeq: 2, countedSeq: 2, seq };
  expect(foldBatch(builder.events, [head]).messages).toEqual([]);
});

it('a message without its channel, or with a hole before it, is a fault of the log', () => {
  const builder = joined();
  builder.say(team, channelId, ann, 'one');
  builder.say(team, channelId, ann, 'two');
  expect(() => foldBatch(builder.events.slice(-1), [])).toThrow(LogFault);
  const head = { teamId: team, channelId, lastChannelSeq: 0, countedSeq: 0, seq: 0 };
  expect(() => foldBatch(builder.events.slice(-1), [head])).toThrow(/channelSeq 2 after 0/);
});
