/**
 * The one error catalogue, for WebSocket and HTTP alike. A code is never reused and never changes meaning.
 * `retryable` says whether the same request may succeed later unchanged.
 */

export type ErrorSpec = { readonly status: number; readonly retryable: boolean; readonly message: string };

export const errorCatalogue = {
  // Frames and requests
  FRAME_NOT_JSON: { status: 400, retryable: false, message: 'The frame is not a JSON object.' },
  FRAME_NOT_TEXT: {
    status: 400,
    retryable: false,
    message: 'Frames are JSON text in UTF-8; binary frames are refused.',
  },
  FRAME_TOO_LARGE: { status: 413, retryable: false, message: 'The frame is over the size limit.' },
  FRAME_TOO_DEEP: { status: 400, retryable: false, message: 'The frame is nested too deeply.' },
  FRAME_UNKNOWN: { status: 400, retryable: false, message: 'The frame is of no known type.' },
  FRAME_INVALID: { status: 400, retryable: false, message: 'The frame does not have the shape of its type.' },
  REQUEST_INVALID: {
    status: 400,
    retryable: false,
    message: 'The request does not have the required shape.',
  },
  CURSOR_INVALID: {
    status: 400,
    retryable: false,
    message: 'The cursor is not one of this list; begin again without it.',
  },
  NOT_FOUND: { status: 404, retryable: false, message: 'There is no such resource.' },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false, message: 'This method is not allowed here.' },
  BODY_TOO_LARGE: { status: 413, retryable: false, message: 'The request body is over the size limit.' },
  MEDIA_TYPE_UNSUPPORTED: { status: 415, retryable: false, message: 'The body must be application/json.' },
  HELLO_REQUIRED: { status: 400, retryable: false, message: 'The first frame must be hello.' },
  HELLO_TIMEOUT: { status: 408, retryable: true, message: 'No hello arrived in time.' },
  HELLO_REPEATED: { status: 400, retryable: false, message: 'This session has already said hello.' },
  // Authentication and authorization
  AUTH_TOKEN_MISSING: { status: 401, retryable: false, message: 'A bearer token is required.' },
  AUTH_TOKEN_INVALID: { status: 401, retryable: false, message: 'The token is not valid.' },
  AUTH_TOKEN_EXPIRED: { status: 401, retryable: false, message: 'The token has expired; get a new one.' },
  AUTH_USER_CHANGED: { status: 403, retryable: false, message: 'A session cannot change its user.' },
  ORIGIN_NOT_ALLOWED: { status: 403, retryable: false, message: 'This origin may not connect.' },
  TEAM_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such team, or you are not a member of it.',
  },
  FORBIDDEN: { status: 403, retryable: false, message: 'Your role does not allow this.' },
  // Commands
  COMMAND_UNKNOWN: { status: 400, retryable: false, message: 'There is no command of this name.' },
  COMMAND_INVALID: {
    status: 400,
    retryable: false,
    message: 'The data does not have the shape of the command.',
  },
  COMMAND_ID_INVALID: { status: 400, retryable: false, message: 'The command id must be a UUID.' },
  COMMAND_POISONED: {
    status: 422,
    retryable: false,
    message: 'The command could not be processed and was set aside.',
  },
  MSG_DUPLICATE_SEND: {
    status: 409,
    retryable: false,
    message: 'This id was used for another body or by another sender.',
  },
  MSG_CHANNEL_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such channel, or you are not a member of it.',
  },
  MSG_TEXT_EMPTY: { status: 422, retryable: false, message: 'The text is empty.' },
  MSG_TEXT_TOO_LONG: { status: 422, retryable: false, message: 'The text is over the size limit.' },
  MSG_TEXT_INVALID: {
    status: 422,
    retryable: false,
    message: 'The text holds NUL or an unpaired surrogate.',
  },
  TEAM_EXISTS: { status: 409, retryable: false, message: 'This team exists already.' },
  TEAM_MEMBER_EXISTS: { status: 409, retryable: false, message: 'The user is a member of the team already.' },
  TEAM_MEMBER_NOT_FOUND: { status: 404, retryable: false, message: 'The user is not a member of the team.' },
  CHANNEL_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'There is no such channel, or you may not see it.',
  },
  CHANNEL_NAME_TAKEN: { status: 409, retryable: false, message: 'A public channel of this name exists.' },
  CHANNEL_DIRECT_EXISTS: {
    status: 409,
    retryable: false,
    message: 'These members have a direct channel already.',
  },
  CHANNEL_KIND_FORBIDS: {
    status: 409,
    retryable: false,
    message: 'A channel of this kind does not allow this.',
  },
  CHANNEL_MEMBER_EXISTS: {
    status: 409,
    retryable: false,
    message: 'The user is a member of the channel already.',
  },
  CHANNEL_MEMBER_NOT_FOUND: {
    status: 404,
    retryable: false,
    message: 'The user is not a member of the channel.',
  },
  READ_MARK_STALE: {
    status: 409,
    retryable: false,
    message: 'The read mark is not ahead of the present one.',
  },
  READ_MARK_UNKNOWN: {
    status: 422,
    retryable: false,
    message: 'The channel has no message of that number yet.',
  },
  SEARCH_QUERY_EMPTY: { status: 400, retryable: false, message: 'There is nothing to search for.' },
  SEARCH_QUERY_TOO_LONG: {
    status: 400,
    retryable: false,
    message: 'The query is over 256 characters or over 16 words.',
  },
  SEARCH_QUERY_TOO_SHORT: {
    status: 400,
    retryable: false,
    message: 'Single letters and kana cannot be searched for; write at least two characters of one word.',
  },
  // Limits and trouble on our side
  RATE_LIMITED: { status: 429, retryable: true, message: 'Too many requests; wait and send again.' },
  IN_FLIGHT_EXCEEDED: {
    status: 429,
    retryable: true,
    message: 'Too many commands are waiting for their outcome.',
  },
  OVERLOADED: { status: 503, retryable: true, message: 'The service takes no more work at this moment.' },
  UNAVAILABLE: {
    status: 503,
    retryable: true,
    message: 'A part that is needed does not answer; send the same id again.',
  },
  READ_MODEL_BEHIND: {
    status: 503,
    retryable: true,
    message: 'The read model has not reached the asked sequence in time.',
  },
  EPOCH_CHANGED: {
    status: 409,
    retryable: false,
    message: 'The partition has a new epoch; take a new snapshot.',
  },
  DRAINING: { status: 503, retryable: true, message: 'This instance is shutting down; connect to another.' },
  INTERNAL: { status: 500, retryable: true, message: 'An unexpected fault; it was recorded.' },
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof errorCatalogue;

export const isErrorCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && Object.hasOwn(errorCatalogue, value);

/** The body of every HTTP error and the core of every `error` and `rejected` frame. */
export type ErrorBody = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  /** Of READ_MODEL_BEHIND: events up to the asked `minSeq` that the read model has not applied yet. */
  readonly lagCount?: number;
};

/** Builds the body for a code; `message` overrides the catalogue's sentence with a more exact one. */
export const errorBody = (
  code: ErrorCode,
  over: { message?: string; retryAfterMs?: number; lagCount?: number } = {},
): ErrorBody => ({
  code,
  message: over.message ?? errorCatalogue[code].message,
  retryable: errorCatalogue[code].retryable,
  ...(over.retryAfterMs === undefined ? {} : { retryAfterMs: over.retryAfterMs }),
  ...(over.lagCount === undefined ? {} : { lagCount: over.lagCount }),
});
