/**
 * What cannot follow (a LogFault) takes nothing with it: its batch is halved until it stands alone, and all before it is
 * applied. Halved only then, so the usual batch stays whole.
 */

import { LogFault, type ReadEvent } from '@chat/read-model/port';
import type { RawEvent } from './decode-event.ts';

type Apply = (raws: readonly RawEvent[], events: readonly ReadEvent[]) => Promise<boolean>;

/** False as soon as `apply` says so. `events`: those of the raws that are projected. */
export const halveOnFault = async (
  apply: Apply,
  raws: readonly RawEvent[],
  events: readonly ReadEvent[],
): Promise<boolean> => {
  try {
    return await apply(raws, events);
  } catch (error) {
    if (!(error instanceof LogFault) || raws.length < 2) throw error;
    const middle = raws.length >> 1;
    const lastSeq = raws[middle - 1]?.seq ?? 0;
    const before = events.filter(({ event }) => event.seq <= lastSeq);
    const after = events.filter(({ event }) => event.seq > lastSeq);
    return (
      (await halveOnFault(apply, raws.slice(0, middle), before)) &&
      halveOnFault(apply, raws.slice(middle), after)
    );
  }
};
