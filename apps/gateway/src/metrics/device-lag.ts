/** How far devices are behind: from the last event their topics carried to what they acknowledged. */

import type { Session } from '../session/session.ts';

/** Sessions looked at in one scrape, spread over all. */
const SAMPLE_MAX_COUNT = 2_000;

const lagOf = (session: Session): number => {
  if (session.state === 'replaying') return Math.max(0, session.partition.flushedSeq - session.positionSeq);
  let sentSeq = 0;
  for (const scope of session.joined) if (scope.publishedSeq > sentSeq) sentSeq = scope.publishedSeq;
  return Math.max(0, sentSeq - session.ackedSeq);
};

/** Ascending. Devices that never acknowledge are not counted once they are live: nothing is known of them. */
export const deviceLags = (sessions: ReadonlySet<Session>): readonly number[] => {
  const stride = Math.max(1, Math.ceil(sessions.size / SAMPLE_MAX_COUNT));
  const lags: number[] = [];
  let index = 0;
  for (const session of sessions) {
    index += 1;
    if (index % stride !== 0 || !session.isJoined) continue;
    if (session.state === 'replaying' || session.ackedSeq > 0) lags.push(lagOf(session));
  }
  return lags.sort((a, b) => a - b);
};

export const quantileOf = (ascending: readonly number[], quantile: number): number =>
  ascending[Math.min(ascending.length - 1, Math.ceil(ascending.length * quantile) - 1)] ?? 0;
