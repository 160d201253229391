/**
 * JSON bodies, strictly: bytes that are not UTF-8 are refused, because decoding them anyway would store another text
 * than was sent. Nothing but application/json is taken.
 */

import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';

/** Room for a text of 32 KiB in which every character is escaped (`\u0001`: six bytes), and the rest. */
export const BODY_MAX_BYTES = 256 * 1024;

const badRequest = (message: string): Error => Object.assign(new Error(message), { statusCode: 400 });

export const parseJsonBodies = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (!isUtf8(body)) done(badRequest('The body is not valid UTF-8.'));
    else void parse(request, body.toString('utf8'), done);
  });
};
