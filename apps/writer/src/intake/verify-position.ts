/** Is the command that we committed last still the one that the stream holds under its number? */

import { HEADER_MSG_ID, cmdStream } from '@chat/contracts/streams';
import type { WriterStreams } from '../streams/writer-streams.ts';
import { type CommandMark, isMarkOf } from './command-mark.ts';

/** `seq` 0: nothing committed yet. */
export type Position = { readonly seq: number; readonly mark: CommandMark };

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
  return isMarkOf(position.mark, message.header(HEADER_MSG_ID), message.storedAtMs) ? 'same' : 'lost';
};
