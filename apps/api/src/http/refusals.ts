/** A refusal as an HTTP answer: the status of its code, an ErrorBody, and Retry-After when it says when. */

import { type ErrorBody, type ErrorCode, errorBody, errorCatalogue } from '@chat/contracts/errors';
import type { FastifyReply } from 'fastify';

export type Refusal = {
  readonly code: ErrorCode;
  /** More exact than the catalogue's sentence. */
  readonly message?: string;
  readonly retryAfterMs?: number;
  /** Of READ_MODEL_BEHIND. */
  readonly lagCount?: number;
};

export const bodyOf = ({ code, message, retryAfterMs, lagCount }: Refusal): ErrorBody =>
  errorBody(code, {
    ...(message === undefined ? {} : { message }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(lagCount === undefined ? {} : { lagCount }),
  });

/** Which code a reply was refused with, for the metrics. */
const refusalCodes = new WeakMap<FastifyReply, ErrorCode>();
export const refusalCodeOf = (reply: FastifyReply): ErrorCode | undefined => refusalCodes.get(reply);

export const refuse = (reply: FastifyReply, refusal: Refusal): FastifyReply => {
  const { retryAfterMs } = refusal;
  refusalCodes.set(reply, refusal.code);
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  return reply
    .code(errorCatalogue[refusal.code].status)
    .header('content-type', 'application/json; charset=utf-8')
    .header('cache-control', 'no-store')
    .serializer(JSON.stringify)
    .send(bodyOf(refusal));
};
