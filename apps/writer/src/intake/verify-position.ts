/** Is the command that we committed last still the one that the stream holds under its number? */

import { HEADER_MSG_ID, cmdStream } from '@chat/contracts/streams';
import type { WriterStreams } from '../streams/writer-streams.ts';

/** `seq` 0: nothing committed yet. `msgId` is what stood in `Nats-Msg-Id` (or was made of the envelope, equal to it). */
export type Position = { readonly seq: number; readonly msgId: string };

/** `same`: go on after it. `lost`: gone from the end of the stream, or another command: read from the first. */
export const verifyPosition = async (
  streams: WriterStreams,
  partition: number,
  position: Position,
): Promise<'same' | 'lost'> => {
  const name = cmdStream(partition);
  const state = await streams.state(name);
  if (!state.exists) {
    await streams.ensureCmd(partition);
    return position.seq === 0 ? 'same' : 'lost';
  }
  if (position.seq === 0) return 'same';
  if (position.seq > state.lastSeq) return 'lost';
  // Purged: what is done and older than the window goes from the front.
  if (position.seq < state.firstSeq) return 'same';
  const message = await streams.message(name, position.seq);
  if (!message) return 'lost';
  return message.header(HEADER_MSG_ID) === position.msgId ? 'same' : 'lost';
};
