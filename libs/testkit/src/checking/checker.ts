/**
 * Judges a `History` by the invariants I1–I4 and names each violation. O(n log n) at most: one pass over each
 * sequence, maps in between.
 */

import type { UserId } from '@chat/contracts/ids';
import type { ApiHistory, CommandRow, History, LogRow, Observer, Send, StreamRow } from './history.ts';
import { checkReads } from './read-checks.ts';
import { type TeamEvent, readable, receivable, teamEvents } from './visibility.ts';

export type ViolationName =
  // the log itself
  | 'LOG_GAP'
  | 'LOG_DISORDER'
  | 'STREAM_DIFFERS'
  | 'MESSAGE_DOUBLED'
  | 'CHANNEL_SEQ_BROKEN'
  | 'COMMAND_ROW_WRONG'
  // what senders were told (I1, I2)
  | 'NO_OUTCOME'
  | 'ACCEPTED_WITHOUT_OUTCOME'
  | 'PERSISTED_LOST'
  | 'PERSISTED_ELSEWHERE'
  | 'CONTENT_DIFFERS'
  | 'REJECTED_BUT_STORED'
  | 'SENDER_REORDERED'
  // what members were given (I3, I4)
  | 'NOT_DELIVERED'
  | 'RESUME_GAP'
  | 'DELIVERED_TWICE'
  | 'DELIVERED_OUT_OF_ORDER'
  | 'DELIVERED_DIFFERS'
  | 'LEAKED'
  | 'INVENTED'
  // what the API answers
  | 'API_LOST'
  | 'API_DOUBLED'
  | 'API_OUT_OF_ORDER'
  | 'API_DIFFERS'
  | 'API_LEAKED'
  | 'READ_STALE'
  | 'READ_WRONG'
  | 'UNREAD_WRONG';

export type Violation = { readonly name: ViolationName; readonly where: string };
export type Report = (name: ViolationName, where: string) => void;

/** Empty when the history keeps every promise. */
export const checkHistory = (history: History): readonly Violation[] => {
  const violations: Violation[] = [];
  const report: Report = (name, where) => void violations.push({ name, where });
  const events = teamEvents(history.log, history.teamId);
  checkLog(history, report);
  checkStream(history.log, history.stream, report);
  checkMessages(events, report);
  checkCommands(history, events, report);
  checkSends(history.sends, events, report);
  checkAccepted(history, events, report);
  checkObservers(history, events, report);
  for (const pages of history.api) checkApi(pages, events, report);
  checkReads(history, events, report);
  return violations;
};

/** At most `limit` lines, and how many of each name, for an assertion message. */
export const describeViolations = (violations: readonly Violation[], limit = 20): string => {
  const counts = new Map<string, number>();
  for (const { name } of violations) counts.set(name, (counts.get(name) ?? 0) + 1);
  const totals = [...counts].map(([name, count]) => `${name} × ${count}`).join(', ');
  return [totals, ...violations.slice(0, limit).map(({ name, where }) => `  ${name}: ${where}`)].join('\n');
};

/** Row ids of a partition are 1, 2, 3, … */
const checkLog = ({ log, afterSeq }: History, report: Report): void => {
  const last = new Map<number, number>(afterSeq);
  for (const { partition, seq } of log) {
    const before = last.get(partition) ?? 0;
    if (seq <= before) report('LOG_DISORDER', `partition ${partition}: ${seq} after ${before}`);
    else if (seq !== before + 1) report('LOG_GAP', `partition ${partition}: ${seq} after ${before}`);
    last.set(partition, Math.max(seq, before));
  }
};

/** Every stream message stands in the log under the same number with the same bytes, and none is missing at the end. */
const checkStream = (log: readonly LogRow[], stream: readonly StreamRow[], report: Report): void => {
  const rows = new Map(log.map((row) => [`${row.partition}/${row.seq}`, row.payload]));
  const last = new Map<number, number>();
  for (const { partition, seq, payload } of stream) {
    const before = last.get(partition);
    if (before !== undefined && seq !== before + 1) {
      report('STREAM_DIFFERS', `EVT_${partition}: ${seq} after ${before}`);
    }
    if (rows.get(`${partition}/${seq}`) !== payload) {
      report('STREAM_DIFFERS', `EVT_${partition}: message ${seq} is not the row of that id`);
    }
    last.set(partition, seq);
  }
  const lastRow = new Map(log.map((row) => [row.partition, row.seq]));
  for (const [partition, seq] of last) {
    const end = lastRow.get(partition);
    if (end !== seq) report('STREAM_DIFFERS', `EVT_${partition} ends at ${seq}, the log at ${end ?? 0}`);
  }
};

/** One message per id; `channelSeq` is 1, 2, 3, … in log order in each channel (I2). */
const checkMessages = (events: readonly TeamEvent[], report: Report): void => {
  const seen = new Map<string, number>();
  const lastOf = new Map<string, number>();
  for (const { event } of events) {
    if (event.type !== 'message.sent') continue;
    const first = seen.get(event.commandId);
    if (first !== undefined) report('MESSAGE_DOUBLED', `${event.commandId} at ${first} and ${event.seq}`);
    seen.set(event.commandId, event.seq);
    const channelId = event.channelId ?? 'no channel';
    const before = lastOf.get(channelId) ?? 0;
    if (event.channelSeq !== before + 1) {
      report('CHANNEL_SEQ_BROKEN', `${channelId}: ${event.channelSeq} after ${before} (seq ${event.seq})`);
    }
    lastOf.set(channelId, Math.max(before, event.channelSeq ?? 0));
  }
};

/** Every message has its row in `command`, which names the message's seq and sender. */
const checkCommands = (history: History, events: readonly TeamEvent[], report: Report): void => {
  const rows = new Map<string, CommandRow>();
  for (const row of history.commands) {
    if (row.teamId !== history.teamId) continue;
    if (rows.has(row.commandId)) report('COMMAND_ROW_WRONG', `${row.commandId} has two rows`);
    rows.set(row.commandId, row);
  }
  for (const { event } of events) {
    if (event.type !== 'message.sent') continue;
    const row = rows.get(event.commandId);
    if (row?.seq !== event.seq || row.actor !== event.actor) {
      report('COMMAND_ROW_WRONG', `${event.commandId}: row ${row?.seq ?? 'missing'}, message ${event.seq}`);
    }
  }
};

const checkSends = (sends: readonly Send[], events: readonly TeamEvent[], report: Report): void => {
  const messages = new Map<string, TeamEvent['event']>();
  for (const { event } of events) {
    if (event.type === 'message.sent' && !messages.has(event.commandId)) messages.set(event.commandId, event);
  }
  const lastOf = new Map<string, number>();
  for (const send of [...sends].sort((a, b) => a.order - b.order)) {
    const event = messages.get(send.id);
    checkVerdict(send, event, report);
    if (send.verdict?.kind !== 'persisted' || !event || send.verdict.duplicate) continue;
    const lane = `${send.sender} in ${send.channelId}`;
    const before = lastOf.get(lane) ?? 0;
    if (event.seq <= before) {
      report('SENDER_REORDERED', `${lane}: ${send.id} at ${event.seq} was sent after ${before}`);
    }
    lastOf.set(lane, Math.max(before, event.seq));
  }
};

const checkVerdict = (send: Send, event: TeamEvent['event'] | undefined, report: Report): void => {
  const { verdict } = send;
  if (!verdict) return report('NO_OUTCOME', `${send.sender}: ${send.id}`);
  if (verdict.kind === 'rejected') {
    // A final refusal is of this wish; a message under the id is then another's (MSG_DUPLICATE_SEND) or a broken promise.
    if (event && verdict.seq !== undefined && verdict.code !== 'MSG_DUPLICATE_SEND') {
      report('REJECTED_BUT_STORED', `${send.id}: ${verdict.code}, yet stored at ${event.seq}`);
    }
    return;
  }
  if (event?.type !== 'message.sent')
    return report('PERSISTED_LOST', `${send.sender}: ${send.id} (${verdict.seq})`);
  if (event.seq !== verdict.seq) {
    report('PERSISTED_ELSEWHERE', `${send.id}: told ${verdict.seq}, stands at ${event.seq}`);
  }
  if (event.data.text !== send.text || event.actor !== send.sender || event.channelId !== send.channelId) {
    report('CONTENT_DIFFERS', `${send.id} at ${event.seq}`);
  }
};

/** Accepted means stored: the log holds its outcome, a fact or a refusal, even if its sender never asked again. */
const checkAccepted = (history: History, events: readonly TeamEvent[], report: Report): void => {
  if (!history.accepted?.length) return;
  const decided = new Set<string>(history.commands.map(({ commandId }) => commandId));
  for (const { event } of events) decided.add(event.commandId);
  for (const { sender, id } of history.accepted) {
    if (!decided.has(id)) report('ACCEPTED_WITHOUT_OUTCOME', `${sender}: ${id}`);
  }
};

const checkObservers = (history: History, events: readonly TeamEvent[], report: Report): void => {
  const digest = history.digest ?? ((payload: string) => payload);
  const logged = new Set(events.map(({ row }) => row.seq));
  const views = new Map<UserId, readonly Seen[]>();
  for (const observer of history.observers) {
    const { userId } = observer;
    const view =
      views.get(userId) ??
      receivable(events, userId).map(({ row }) => ({ seq: row.seq, content: digest(row.payload) }));
    views.set(userId, view);
    checkObserver(observer, view, logged, report);
  }
};

type Seen = { readonly seq: number; readonly content: string };

/** The deliveries are exactly the visible events of (afterSeq, upToSeq], each once, ascending, same bytes. */
const checkObserver = (
  observer: Observer,
  view: readonly Seen[],
  logged: ReadonlySet<number>,
  report: Report,
): void => {
  const who = observer.name;
  const expected = new Map(
    view
      .filter(({ seq }) => seq > observer.afterSeq && seq <= observer.upToSeq)
      .map(({ seq, content }) => [seq, content]),
  );
  const given = new Set<number>();
  let last = 0;
  for (const { seq, content } of observer.deliveries) {
    const payload = expected.get(seq);
    if (given.has(seq)) report('DELIVERED_TWICE', `${who}: ${seq}`);
    else if (seq < last) report('DELIVERED_OUT_OF_ORDER', `${who}: ${seq} after ${last}`);
    if (payload === undefined) report(logged.has(seq) ? 'LEAKED' : 'INVENTED', `${who}: ${seq}`);
    else if (payload !== content) report('DELIVERED_DIFFERS', `${who}: ${seq}`);
    given.add(seq);
    last = Math.max(last, seq);
  }
  const missing = [...expected.keys()].filter((seq) => !given.has(seq));
  if (missing.length === 0) return;
  const boundaries = boundariesOf(observer, given);
  for (const seq of missing) {
    const isAtBoundary = boundaries.some(({ fromSeq, endSeq }) => seq > fromSeq && seq < endSeq);
    report(isAtBoundary ? 'RESUME_GAP' : 'NOT_DELIVERED', `${who}: ${seq}`);
  }
};

/** From the cursor of each resume to the first event given after its head. */
const boundariesOf = ({ resumes = [] }: Observer, given: ReadonlySet<number>) => {
  const ascending = [...given].sort((a, b) => a - b);
  return resumes.map(({ fromSeq, head }) => ({
    fromSeq,
    endSeq: ascending[firstAfter(ascending, head)] ?? Infinity,
  }));
};

/** Index of the first number greater than `bound`. */
const firstAfter = (ascending: readonly number[], bound: number): number => {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? Infinity) > bound) high = middle;
    else low = middle + 1;
  }
  return low;
};

/** The pages hold exactly the readable messages, ascending by `channelSeq`, with the log's content. */
const checkApi = (pages: ApiHistory, events: readonly TeamEvent[], report: Report): void => {
  const who = `${pages.userId} reads ${pages.channelId}`;
  const expected = new Map(
    readable(events, pages.userId, pages.channelId).map(({ event }) => [event.commandId as string, event]),
  );
  const given = new Set<string>();
  let last = 0;
  for (const message of pages.messages) {
    const event = expected.get(message.id);
    if (given.has(message.id)) report('API_DOUBLED', `${who}: ${message.id}`);
    else if (message.channelSeq <= last)
      report('API_OUT_OF_ORDER', `${who}: ${message.channelSeq} after ${last}`);
    if (!event) report('API_LEAKED', `${who}: ${message.id} at ${message.seq}`);
    else if (!sameMessage(message, event)) report('API_DIFFERS', `${who}: ${message.id}`);
    given.add(message.id);
    last = Math.max(last, message.channelSeq);
  }
  for (const [id, event] of expected) if (!given.has(id)) report('API_LOST', `${who}: ${id} at ${event.seq}`);
};

const sameMessage = (message: ApiHistory['messages'][number], event: TeamEvent['event']): boolean =>
  event.type === 'message.sent' &&
  message.seq === event.seq &&
  message.channelSeq === event.channelSeq &&
  message.channelId === event.channelId &&
  message.actor === event.actor &&
  message.at === event.at &&
  message.text === event.data.text;
