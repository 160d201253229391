import type { IntakeMessage } from '../intake/decode-command.ts';
import { decodeCommand } from '../intake/decode-command.ts';
import type { OutcomeKey } from '../outcome/lookup-outcomes.ts';

/** The id of a command that is about to be decided; undefined when it cannot be decoded (it will be set aside). */
export const peekOutcomeKey = (message: IntakeMessage): OutcomeKey | undefined => {
  const decoded = decodeCommand(message);
  return decoded.ok ? { teamId: decoded.command.teamId, commandId: decoded.command.id } : undefined;
};
