/** Events for read benches: one team, one channel, texts of everyday words in English and Japanese. The same for the same number. */

import { type ChannelId, type CommandId, type TeamId, type UserId, makeTeamId } from '@chat/contracts/ids';
import type { EventElement } from '@chat/contracts/events';
import { channelScope, teamScope, userScope } from '@chat/contracts/subjects';
import type { EventBatch, ReadEvent } from '@chat/read-model/port';

export const partition = 3;
export const teamId: TeamId = makeTeamId(partition, new Uint8Array(9).fill(7));
export const asker = 'asker' as UserId;
export const channelId = '00000000-0000-7000-8000-00000000c0de' as ChannelId;
export const epoch = 'bench';

/** What is searched for. */
export const terms = {
  /** Only in the first message. */
  rare: 'quixotry',
  /** In every twentieth message. */
  frequent: 'meeting',
  /** In every hundredth, in Japanese. */
  japanese: '会議室',
  /** In none, and neither are its pairs of letters. */
  absent: 'zqzjqx',
  /** In none, but all of its pairs of letters are in many. */
  deceptive: 'thereading',
} as const;

const english = (
  'the and reading other there thread ready deploy build team again today please could would about after before ' +
  'server client message channel review release customer report number update branch merge issue ticket plan ' +
  'morning lunch coffee friday weekend thanks great sorry maybe never always think right left open close start'
).split(' ');
const japanese = [
  'お疲れ様です',
  '確認しました',
  'よろしくお願いします',
  '来週の予定',
  '資料を共有',
  '了解',
  '東京',
  '進捗',
];

/** A cheap generator, so that 10⁶ texts cost little and are the same in each run. */
const next = (state: number): number => (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;

const textOf = (n: number): string => {
  let state = next(n + 1);
  const words: string[] = [];
  for (let count = 6 + (state % 14); count > 0; count -= 1) {
    state = next(state);
    const list = state % 8 === 0 ? japanese : english;
    words.push(list[(state >>> 8) % list.length] ?? '');
  }
  if (n === 0) words.push(terms.rare);
  if (n % 20 === 0) words.push(terms.frequent);
  if (n % 100 === 0) words.push(`${terms.japanese}で`);
  return `${words.join(' ')} ${n}`;
};

const idOf = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

const eventOf = (seq: number, fields: Partial<EventElement>): EventElement =>
  ({
    seq,
    v: 1,
    at: 1_700_000_000_000 + seq,
    commandId: idOf(seq) as CommandId,
    hash: 'AAAAAAAAAAAAAAAA',
    actor: asker,
    ...fields,
  }) as EventElement;

const beginnings: readonly ReadEvent[] = [
  { teamId, scope: teamScope, event: eventOf(1, { type: 'team.created', data: { name: 'bench' } }) },
  {
    teamId,
    scope: userScope(asker),
    event: eventOf(2, {
      type: 'team.member_added',
      data: { userId: asker, role: 'owner', teamName: 'bench' },
    }),
  },
  {
    teamId,
    scope: teamScope,
    event: eventOf(3, { type: 'channel.created', channelId, data: { kind: 'public', name: 'bench' } }),
  },
  {
    teamId,
    scope: userScope(asker),
    event: eventOf(4, {
      type: 'member.added',
      channelId,
      data: { userId: asker, role: 'admin', kind: 'public', name: 'bench' },
    }),
  },
];

const messageAt = (seq: number): ReadEvent => {
  const channelSeq = seq - beginnings.length;
  const data = { text: textOf(channelSeq - 1) };
  return {
    teamId,
    scope: channelScope(channelId),
    event: eventOf(seq, { type: 'message.sent', channelId, channelSeq, data }),
  };
};

/** The number of the event that is message `count`. */
export const seqOfMessage = (count: number): number => beginnings.length + count;

export const batchOf = (afterSeq: number, upTo: number): EventBatch => ({
  partition,
  epoch,
  afterSeq,
  upTo,
  events: Array.from(
    { length: upTo - afterSeq },
    (_, n) => beginnings[afterSeq + n] ?? messageAt(afterSeq + n + 1),
  ),
  digest: `digest-${upTo}`,
});
