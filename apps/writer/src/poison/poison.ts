/**
 * Commands that cannot be processed. Attempts are counted in the database, so that a command that kills its
 * writer is found as well; after POISON_MAX_ATTEMPTS the command is set aside: an entry in DLQ_CMD with its bytes,
 * and a final `COMMAND_POISONED` for its sender. Order: dead letter first, then the commit that moves the position;
 * a crash between the two repeats the dead letter under the same Msg-Id.
 */

import { headers as createHeaders } from '@nats-io/nats-core';
import type { JetStreamClient } from '@nats-io/jetstream';
import type { IntakeMessage } from '../intake/decode-command.ts';
import type { Query } from '../partition/partition-row.ts';

export const POISON_MAX_ATTEMPTS = 3;
export const deadLetterStream = 'DLQ_CMD';
export const deadLetterSubject = (partition: number): string => `dlq.cmd.${partition}`;

/** A Msg-Id may be anything; the time stands at its end. */
const MARK_MAX_LENGTH = 500;

/**
 * One more attempt; answers how many there have been at this very command: what another one of an earlier stream did under
 * the same number does not count (rows without a mark are of an earlier writer, and do).
 */
export const countAttempt = async (
  query: Query,
  p: number,
  message: Pick<IntakeMessage, 'seq' | 'mark'>,
  reason: string,
): Promise<number> => {
  const [row] = await query<{ attempts: number }>({
    text: `INSERT INTO poison AS x (p, cmd_seq, attempts, reason, cmd_mark) VALUES ($1, $2, 1, $3, $4)
      ON CONFLICT (p, cmd_seq) DO UPDATE SET
        attempts = CASE WHEN x.cmd_mark IN ('', excluded.cmd_mark) THEN x.attempts + 1 ELSE 1 END,
        reason = excluded.reason, cmd_mark = excluded.cmd_mark, last_at = clock_timestamp()
      RETURNING attempts`,
    values: [
      p,
      message.seq,
      reason.slice(0, 500),
      message.mark().replaceAll('\u0000', '').slice(-MARK_MAX_LENGTH),
    ],
  });
  return row?.attempts ?? 1;
};

export const forgetAttempts = async (query: Query, p: number, cmdSeq: number): Promise<void> => {
  await query({ text: 'DELETE FROM poison WHERE p = $1 AND cmd_seq = $2', values: [p, cmdSeq] });
};

/** Stores the command's bytes and why; throws when the stream did not take it. */
export const storeDeadLetter = async (
  js: JetStreamClient,
  p: number,
  message: IntakeMessage,
  reason: string,
): Promise<void> => {
  const headers = createHeaders();
  headers.set('Chat-Reason', reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500));
  headers.set('Chat-Subject', message.subject);
  headers.set('Chat-Seq', String(message.seq));
  headers.set('Chat-Msg-Id', message.msgId());
  const msgID = `${p}.${message.seq}.${message.msgId()}`;
  await js.publish(deadLetterSubject(p), message.data, { headers, msgID, timeout: 5_000 });
};
