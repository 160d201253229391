/** Bounds that are part of the wire contract. */

/** Largest frame a client may send after hello (design). */
export const FRAME_MAX_BYTES = 64 * 1024;
/** Largest frame before hello (design). */
export const HELLO_MAX_BYTES = 4 * 1024;
/** Nesting allowed in a frame. */
export const FRAME_MAX_DEPTH = 16;
/** Largest message text, in bytes of UTF-8: half a frame, so that ordinary JSON escaping fits as well. */
export const TEXT_MAX_BYTES = 32 * 1024;
/** Names of teams and channels, in UTF-16 units. */
export const NAME_MAX_LENGTH = 80;
/** Other members of a direct channel. */
export const DIRECT_OTHERS_MAX_COUNT = 8;
/** A session must say hello within this time (design: 5 s). */
export const HELLO_TIMEOUT_MS = 5_000;
/** A client sends an unpersisted command again after this silence (design: 10 s). */
export const RESEND_AFTER_MS = 10_000;
/** Client reconnect backoff (acceptance R1.3): full jitter between 0 and min(max, base × 2^n). */
export const RECONNECT_BASE_MS = 1_000;
export const RECONNECT_MAX_MS = 30_000;
/** History page size. */
export const PAGE_DEFAULT_COUNT = 50;
export const PAGE_MAX_COUNT = 200;
/** Page size of lists: channels of a user, members of a channel, teams of a user. */
export const LIST_PAGE_DEFAULT_COUNT = 200;
export const LIST_PAGE_MAX_COUNT = 1_000;
/** A search query, in UTF-16 units, and its words and phrases. */
export const SEARCH_QUERY_MAX_LENGTH = 256;
export const SEARCH_TERMS_MAX_COUNT = 16;
/** Page size of search. */
export const SEARCH_PAGE_DEFAULT_COUNT = 20;
export const SEARCH_PAGE_MAX_COUNT = 50;
