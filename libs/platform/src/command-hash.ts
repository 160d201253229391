import { hash } from 'node:crypto';
import type { TeamId } from '@chat/contracts/ids';

/**
 * 16 base64url characters (the first 12 bytes of SHA-256) over `teamId + "\n" + name + "\n" + dataJson`. `dataJson` is the
 * canonical JSON made by `parseCommand`, so equal wishes have equal hashes: a repeat is told from the misuse
 * of an id without keeping the body. The team is in it because a partition's teams share one stream: the broker, which knows
 * `Nats-Msg-Id` only, must not take one team's command for a repeat of another's. The one-shot `hash` costs a third of `createHash` (1.4 against 4.4 µs for 250 bytes).
 */
export const commandHash = (teamId: TeamId, name: string, dataJson: string): string =>
  hash('sha256', `${teamId}\n${name}\n${dataJson}`, 'base64url').slice(0, 16);
