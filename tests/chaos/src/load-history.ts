/** From a round's folder to the histories that the checker judges: one for each team. */

import type { ChannelId, CommandId, TeamId, UserId } from '@chat/contracts/ids';
import type {
  Accepted,
  ApiHistory,
  ChannelList,
  CommandRow,
  History,
  LogRow,
  Observer,
  PageRead,
  Send,
  StreamRow,
  Verdict,
} from '@chat/testkit/checking/history';
import { digest } from './digest.ts';
import type { HistoryLine } from './history-line.ts';
import { type RoundMeta, eachRow, files, readRows } from './run-folder.ts';

type TeamLines = {
  readonly sends: Map<string, Send>;
  readonly repeats: Send[];
  readonly accepted: Accepted[];
  readonly reads: PageRead[];
  readonly devices: Map<string, DeviceView>;
};
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A device's view falls into segments: a snapshot ends one (what it skips was never promised) and begins the next. */
type Segment = Mutable<Pick<Observer, 'afterSeq' | 'upToSeq'>> & {
  readonly deliveries: { seq: number; content: string }[];
  readonly resumes: { fromSeq: number; head: number }[];
};
type DeviceView = { readonly userId: UserId; readonly segments: Segment[] };

const takeDevice = (devices: Map<string, DeviceView>, line: HistoryLine): void => {
  const view = devices.get(line.client) ?? { userId: line.user as UserId, segments: [] };
  devices.set(line.client, view);
  const current = view.segments.at(-1);
  const seq = line.seq ?? 0;
  if (line.op === 'deliver') {
    current?.deliveries.push({ seq, content: line.hash ?? '' });
    if (current) current.upToSeq = Math.max(current.upToSeq, seq);
  } else if (line.op === 'cursor') {
    if (current) current.upToSeq = Math.max(current.upToSeq, seq);
  } else if (line.type === 'ok') {
    if (line.detail === 'replayed') current?.resumes.push({ fromSeq: line.from ?? 0, head: seq });
    else view.segments.push({ afterSeq: seq, upToSeq: seq, deliveries: [], resumes: [] });
  }
};

const verdictOf = (line: HistoryLine): Verdict =>
  line.type === 'ok'
    ? { kind: 'persisted', seq: line.seq ?? 0, duplicate: line.isDuplicate ?? false }
    : { kind: 'rejected', code: line.code ?? '', seq: line.seq };

const takeLine = (teams: ReadonlyMap<string, TeamLines>, line: HistoryLine): void => {
  const team = teams.get(line.team ?? '');
  if (!team) return;
  const sender = line.user as UserId;
  const id = line.msgId as CommandId;
  switch (line.op) {
    case 'send':
      if (line.type === 'invoke') {
        const { text = '' } = line;
        const channelId = line.channel as ChannelId;
        const order = team.sends.size;
        team.sends.set(id, { sender, order, id, channelId, text, verdict: undefined });
      } else if (line.type !== 'info') {
        const send = team.sends.get(id);
        if (send) team.sends.set(id, { ...send, verdict: verdictOf(line) });
      }
      return;
    case 'repeat': {
      const send = team.sends.get(id);
      // A repeat is judged by what it was answered; one without an answer changes nothing. It is in no one's order.
      if (send && line.type === 'ok') {
        team.repeats.push({ ...send, verdict: { kind: 'persisted', seq: line.seq ?? 0, duplicate: true } });
      }
      return;
    }
    case 'accept':
      return void team.accepted.push({ sender, id });
    case 'read':
      if (line.type !== 'ok') return;
      return void team.reads.push({
        userId: sender,
        channelId: line.channel as ChannelId,
        minSeq: line.seq ?? 0,
        messages: (line.messages ?? []).map(([messageId, channelSeq, seq]) => ({
          id: messageId,
          channelSeq,
          seq,
        })),
      });
    case 'deliver':
    case 'cursor':
    case 'connect':
      return takeDevice(team.devices, line);
    default:
      return;
  }
};

const observersOf = (devices: ReadonlyMap<string, DeviceView>): readonly Observer[] =>
  [...devices].flatMap(([name, { userId, segments }]) =>
    segments.map((segment, i) => ({ name: `${name} (view ${i + 1})`, userId, ...segment })),
  );

export const loadHistories = async (
  folder: string,
  meta: RoundMeta,
  onLine?: (line: HistoryLine) => void,
): Promise<readonly History[]> => {
  const teams = new Map<string, TeamLines>(
    meta.teams.map(({ teamId }) => [
      teamId,
      { sends: new Map(), repeats: [], accepted: [], reads: [], devices: new Map() },
    ]),
  );
  await eachRow<HistoryLine>(folder, files.history, (line) => {
    takeLine(teams, line);
    onLine?.(line);
  });
  const log = await readRows<LogRow>(folder, files.log);
  const stream = await readRows<StreamRow>(folder, files.stream);
  const commands = await readRows<CommandRow>(folder, files.commands);
  const api = await readRows<ApiHistory & { readonly teamId: TeamId }>(folder, files.api);
  const lists = await readRows<ChannelList & { readonly teamId: TeamId }>(folder, files.lists);
  const afterSeq = new Map(Object.entries(meta.afterSeq).map(([p, seq]) => [Number(p), seq]));
  return meta.teams.map(({ teamId, partition }): History => {
    const lines = teams.get(teamId);
    if (!lines) throw new Error(`no lines of ${teamId}`);
    const isHere = (row: { readonly partition: number }) => row.partition === partition;
    return {
      teamId,
      log: log.filter(isHere),
      stream: stream.filter(isHere),
      commands: commands.filter((row) => row.teamId === teamId),
      sends: [...lines.sends.values(), ...lines.repeats],
      observers: observersOf(lines.devices),
      api: api.filter((one) => one.teamId === teamId),
      accepted: lines.accepted,
      reads: lines.reads,
      lists: lists.filter((one) => one.teamId === teamId),
      afterSeq,
      digest,
    };
  });
};
