import { closeCodes } from '@chat/contracts/protocol';
import type { CloseReason } from './gateway-stats.ts';

const reasons = new Map<number, CloseReason>([
  [closeCodes.DRAINING, 'draining'],
  [closeCodes.SLOW_CONSUMER, 'slow'],
  [closeCodes.GATEWAY_BEHIND, 'behind'],
  [closeCodes.MEMBERSHIP_UNAVAILABLE, 'behind'],
  [closeCodes.EPOCH_CHANGED, 'behind'],
  [closeCodes.TOKEN_EXPIRED, 'auth'],
  [closeCodes.TOKEN_INVALID, 'auth'],
  [closeCodes.NOT_A_MEMBER, 'auth'],
  [closeCodes.HELLO_TIMEOUT, 'protocol'],
  [closeCodes.PROTOCOL_ERROR, 'protocol'],
  [closeCodes.OVERLOADED, 'overloaded'],
]);

/** Sent by clients that leave in good order; 1005 is a close frame without a code. */
const CLIENT_CODES: ReadonlySet<number> = new Set([1000, 1001, 1005]);

/** `ownCode`: the code with which the gateway itself closed it, 0 when it did not. */
export const closeReasonOf = (ownCode: number, code: number): CloseReason => {
  if (ownCode > 0) return reasons.get(ownCode) ?? 'error';
  if (CLIENT_CODES.has(code) || (code >= 3_000 && code <= 4_999)) return 'client';
  return 'error';
};
