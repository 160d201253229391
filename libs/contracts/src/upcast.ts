/**
 * Events as they were stored, of any version ever written, brought to what `EventElement` says today. Whoever reads
 * stored events (event_log, `EVT_<p>`, a replay to a client) reads them through here; what is stored never changes.
 *
 * A type's version goes up when its data changes in a way that an older reader would misread. Then `eventVersions` says
 * the new one, `upcasters` gets the step from the one before, and `samples/` a sample of the new one (docs/adr/0029).
 * Steps lead from each version to the next, so that one that was written long ago needs no care later.
 */

import { type EventElement, eventVersions } from './events.ts';

/** An event of any version: what each of them has. */
export type StoredEvent = {
  readonly seq: number;
  readonly type: string;
  readonly v: number;
  readonly data: unknown;
};

/** From version n of a type to n + 1. Pure and total: what was once written must be readable for ever. `v` is set by the chain. */
export type UpcastStep = (event: StoredEvent) => StoredEvent;

/** By type, then by the version a step begins at. */
export type Upcasters = { readonly [type: string]: { readonly [version: number]: UpcastStep } };

export type Upcasted =
  | { readonly kind: 'read'; readonly event: EventElement }
  /** A fact of a kind that came later than this reader. */
  | { readonly kind: 'unknown_type'; readonly type: string; readonly v: unknown }
  /** Of a known type, but newer than this reader (or no version at all). */
  | { readonly kind: 'unknown_version'; readonly type: string; readonly v: unknown };

/** A stored event that this reader must not take for anything else, nor pass over. Names type and version, never content. */
export class UnknownEventFault extends Error {
  readonly code = 'EVENT_UNKNOWN';
  readonly type: string;
  readonly version: unknown;
  constructor(seq: number, type: string, version: unknown) {
    super(`event ${seq} is of type ${type} version ${String(version)}, which is not known here`);
    this.name = 'UnknownEventFault';
    this.type = type;
    this.version = version;
  }
}

/** None yet: every type is at its first version. */
export const upcasters: Upcasters = {};

/** A reader for types at `versions`. Throws RangeError when a step between two versions is missing or leads too far. */
export const createUpcast = (
  versions: { readonly [type: string]: number },
  steps: Upcasters,
): ((stored: StoredEvent) => Upcasted) => {
  for (const type of new Set([...Object.keys(versions), ...Object.keys(steps)])) {
    const known = Object.keys(steps[type] ?? {}).map(Number);
    const wanted = Array.from({ length: (versions[type] ?? 1) - 1 }, (_, at) => at + 1);
    if (!(type in versions) || known.length !== wanted.length || wanted.some((v) => !known.includes(v)))
      throw new RangeError(`the steps of ${type} do not lead from version 1 to ${String(versions[type])}`);
  }
  return (stored) => {
    const { type, v } = stored;
    const today = Object.hasOwn(versions, type) ? versions[type] : undefined;
    if (today === undefined) return { kind: 'unknown_type', type, v };
    if (v === today) return { kind: 'read', event: stored as EventElement };
    if (!Number.isInteger(v) || v < 1 || v > today) return { kind: 'unknown_version', type, v };
    let event = stored;
    for (let from = v; from < today; from += 1) {
      const step = steps[type]?.[from];
      if (!step) return { kind: 'unknown_version', type, v };
      event = { ...step(event), v: from + 1 };
    }
    return { kind: 'read', event: event as EventElement };
  };
};

/** The reader of what is written today and was ever written before. */
export const upcast = createUpcast(eventVersions, upcasters);

/** Today's form of a stored event. Throws UnknownEventFault. */
export const readStoredEvent = (stored: StoredEvent): EventElement => {
  const result = upcast(stored);
  if (result.kind === 'read') return result.event;
  throw new UnknownEventFault(stored.seq, String(result.type), result.v);
};
