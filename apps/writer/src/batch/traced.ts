/** The writer's part of a trace: decide and commit of a command, and its events' way into the stream (see relay). */

import type { TraceSpan } from '@chat/platform/tracing';
import type { IntakeMessage } from '../intake/decode-command.ts';
import { type PlanContext, decideMessage } from './decide-batch.ts';

/** `decideMessage`, and the events it made carry the trace. */
export const decideTraced = (
  trace: TraceSpan,
  context: PlanContext,
  message: IntakeMessage,
  index: number,
): void => {
  const span = trace.child('writer.decide');
  const { events } = context.part;
  const before = events.length;
  decideMessage(context, message, index);
  for (let i = before; i < events.length; i += 1) events[i] = { ...events[i]!, trace };
  span.end({ 'chat.events': events.length - before });
  // A repeat makes no event: there is nothing to relay that would end it.
  if (events.length === before) trace.end({ 'chat.repeat': true });
};

export const commitTraced = (
  messages: readonly { readonly message: IntakeMessage }[],
  startedMs: number,
): void => {
  for (const { message } of messages)
    if (message.trace !== undefined)
      message.trace.child('writer.commit', { 'chat.commands': messages.length }, startedMs).end();
};
