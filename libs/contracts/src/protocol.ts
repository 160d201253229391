/** The protocol's name and its close codes. Free of schemas, so that a browser takes nothing else with it. */

export const PROTOCOL = 'chat.v1';

/** 4000–4499: reconnect (with backoff). 4500–4999: do not; the reason is the client's to mend. */
export const closeCodes = {
  DRAINING: 4000,
  SLOW_CONSUMER: 4001,
  GATEWAY_BEHIND: 4002,
  MEMBERSHIP_UNAVAILABLE: 4003,
  /** Get a new token, then reconnect. */
  TOKEN_EXPIRED: 4004,
  HELLO_TIMEOUT: 4005,
  HEARTBEAT_LOST: 4006,
  OVERLOADED: 4007,
  /** The partition began a new epoch; reconnect and take a snapshot. */
  EPOCH_CHANGED: 4008,
  PROTOCOL_ERROR: 4500,
  TOKEN_INVALID: 4501,
  /** Not, or no longer, a member of the team. */
  NOT_A_MEMBER: 4502,
} as const;

export const closeCodeMeansReconnect = (code: number): boolean => code < 4500 || code > 4999;
