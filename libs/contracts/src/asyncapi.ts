/** The AsyncAPI 3.0 document of `chat.v1`, built from the schemas (docs/asyncapi.json is its committed output). */

import { type CommandName, commandSchemas } from './commands.ts';
import { closeCodes, clientFrameSchemas, PROTOCOL } from './frames.ts';
import { FRAME_MAX_BYTES, HELLO_MAX_BYTES, HELLO_TIMEOUT_MS } from './limits.ts';
import { serverFrameSchemas } from './server-frame-schemas.ts';

type Json = Record<string, unknown>;

const message = (name: string, payload: unknown): Json => ({
  name,
  contentType: 'application/json',
  payload,
});

const messagesOf = (prefix: string, schemas: Record<string, unknown>): Json =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [`${prefix}.${name}`, message(name, schema)]),
  );

const refs = (messages: Json): Json[] =>
  Object.keys(messages).map((name) => ({ $ref: `#/channels/session/messages/${name}` }));

const commandDefinitions = (): Json =>
  Object.fromEntries(
    (Object.keys(commandSchemas) as CommandName[]).map((name) => [name, commandSchemas[name]]),
  );

export const asyncApiDocument = (version: string): Json => {
  const fromClient = messagesOf('client', clientFrameSchemas);
  const fromServer = messagesOf('server', serverFrameSchemas);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'RealTimeChat gateway',
      version,
      license: { name: 'Apache-2.0' },
      description:
        `JSON text frames, subprotocol ${PROTOCOL}. The first frame is hello, within ${HELLO_TIMEOUT_MS} ms and ` +
        `${HELLO_MAX_BYTES} bytes; later frames up to ${FRAME_MAX_BYTES} bytes. Close codes: ` +
        Object.entries(closeCodes)
          .map(([name, code]) => `${code} ${name}`)
          .join(', ') +
        '; 4000–4499 reconnect, 4500–4999 do not.',
    },
    channels: {
      session: {
        address: '/ws/{teamId}',
        parameters: {
          teamId: { description: 'the team of this session: one socket is one user in one team' },
        },
        messages: { ...fromClient, ...fromServer },
      },
    },
    operations: {
      clientSends: { action: 'receive', channel: { $ref: '#/channels/session' }, messages: refs(fromClient) },
      serverSends: { action: 'send', channel: { $ref: '#/channels/session' }, messages: refs(fromServer) },
    },
    components: { schemas: commandDefinitions() },
  };
};
