/**
 * What tells a command from any other that may stand under its number: its Nats-Msg-Id *and* when the stream stored it. A
 * stream made anew, or one that lost its tail, gets the repeats of its clients, and one of them may come to stand just
 * where it stood before, behind commands that nobody has read.
 *
 * `<Nats-Msg-Id>@<ms since the Unix epoch>`. Marks of writers before this one have no time: of them only the id is told.
 */

export type CommandMark = string;

/** The stream's own nanoseconds come as a number here and as a text there: floored they may differ by one. */
const TIME_TOLERANCE_MS = 1;

export const commandMark = (msgId: string, storedAtMs: number): CommandMark => `${msgId}@${storedAtMs}`;

export const isMarkOf = (mark: CommandMark, msgId: string, storedAtMs: number): boolean => {
  const [, markedId, time] = /^(.*)@(\d+)$/s.exec(mark) ?? [];
  if (markedId === undefined || time === undefined) return mark === msgId;
  return markedId === msgId && Math.abs(Number(time) - storedAtMs) <= TIME_TOLERANCE_MS;
};
