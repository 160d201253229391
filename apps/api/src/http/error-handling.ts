/**
 * Whatever goes wrong becomes an ErrorBody: what Fastify refuses, what is not found, what the store or NATS cannot
 * do for now, and what is our own fault (500, logged, without a word about the inside).
 */

import { STATUS_CODES } from 'node:http';
import { type ErrorCode, errorCatalogue } from '@chat/contracts/errors';
import { OverloadedFault, UnavailableFault, TimeoutFault, codeOf, reasonOf } from '@chat/platform/faults';
import type { Logger } from '@chat/platform/log';
import { classify } from '@chat/platform/postgres/sqlstate';
import type { FastifyError } from 'fastify';
import type { App } from './app-type.ts';
import type { Socket } from 'node:net';
import { type Refusal, bodyOf, refuse } from './refusals.ts';

const RETRY_AFTER_MS = 1_000;

/** Fastify's own codes that mean something else than "the request has not the required shape". */
const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'MEDIA_TYPE_UNSUPPORTED',
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_NOT_FOUND: 'NOT_FOUND',
};

const statusCodes: Readonly<Record<number, ErrorCode>> = {
  401: 'AUTH_TOKEN_MISSING',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  413: 'BODY_TOO_LARGE',
  415: 'MEDIA_TYPE_UNSUPPORTED',
};

const refusalOf = (error: FastifyError): Refusal | undefined => {
  const status = error.statusCode ?? 500;
  if (error.validation) return { code: 'REQUEST_INVALID', message: error.message };
  const known = fastifyCodes[error.code];
  if (known) return { code: known };
  if (status >= 400 && status < 500) {
    const code = statusCodes[status] ?? 'REQUEST_INVALID';
    return code === 'REQUEST_INVALID' ? { code, message: sentenceOf(error) } : { code };
  }
  const isTrouble =
    error instanceof UnavailableFault || error instanceof TimeoutFault || classify(error) === 'transient';
  if (error instanceof OverloadedFault) return { code: 'OVERLOADED', retryAfterMs: RETRY_AFTER_MS };
  return isTrouble ? { code: 'UNAVAILABLE', retryAfterMs: RETRY_AFTER_MS } : undefined;
};

/** Fastify's sentences are about the request's form; a JSON parser's would quote the body. */
const sentenceOf = (error: FastifyError): string =>
  error instanceof SyntaxError ? 'The body is not valid JSON.' : error.message;

export const handleErrors = (app: App, log: Logger): void => {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const refusal = refusalOf(error);
    const { id: requestId, method } = request;
    const where = { requestId, method, route: request.routeOptions.url, reason: reasonOf(error) };
    if (refusal?.code === 'UNAVAILABLE')
      log.warn({ ...where, code: codeOf(error) }, 'request not served for now');
    if (refusal) return refuse(reply, refusal);
    log.error({ ...where, err: error }, 'request failed');
    return refuse(reply, { code: 'INTERNAL', retryAfterMs: RETRY_AFTER_MS });
  });
  app.setNotFoundHandler((_, reply) => refuse(reply, { code: 'NOT_FOUND' }));
};

/** Every known path answers 405 with `Allow` to the methods it does not have. Call after all routes. */
export const refuseOtherMethods = (app: App, known: ReadonlyMap<string, ReadonlySet<string>>): void => {
  for (const [url, methods] of known) {
    const others = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => !methods.has(method));
    if (others.length === 0) continue;
    // Now, before the routes that follow are counted among the known ones.
    const allow = [...methods].sort().join(', ');
    app.route({
      method: others,
      url,
      schema: { hide: true },
      onRequest: async (_, reply) => refuse(reply.header('allow', allow), { code: 'METHOD_NOT_ALLOWED' }),
      handler: () => undefined,
    });
  }
};

/** Bytes that are not HTTP get an answer too, and the socket is closed. */
export const clientErrorHandler = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code: ErrorCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'BODY_TOO_LARGE' : 'REQUEST_INVALID';
  const { status } = errorCatalogue[code];
  const json = JSON.stringify(bodyOf({ code }));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(json)}\r\nconnection: close\r\n\r\n${json}`,
  );
};
