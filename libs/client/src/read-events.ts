/**
 * Events as the gateway forwards them (of any version ever written) → events of today. A fact of a kind this client has
 * never heard of is passed on as it is: whoever does not know it has no use for it. A newer version of a kind it knows
 * cannot be passed over (it may be a message): what precedes it counts, then the client is outdated.
 */

import type { EventElement } from '@chat/contracts/events';
import { upcast } from '@chat/contracts/upcast';

export type ReadEvents = {
  readonly events: readonly EventElement[];
  /** The first event that a newer client is needed for. */
  readonly newer?: EventElement;
};

export const readEvents = (stored: readonly EventElement[]): ReadEvents => {
  const events: EventElement[] = [];
  for (const event of stored) {
    const read = upcast(event);
    if (read.kind === 'unknown_version') return { events, newer: event };
    events.push(read.kind === 'read' ? read.event : event);
  }
  return { events };
};
