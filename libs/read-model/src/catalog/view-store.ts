/** The views of one read store: their catalogue, and each version by its number. Names say view and version. */

import type { DriftStore } from '../drift/port.ts';
import type { ProjectionTarget, ReadModel } from '../port.ts';
import type { SearchModel } from '../search/port.ts';
import type { CatalogStore, ViewName } from './catalog.ts';

export type VersionId = { readonly view: ViewName; readonly version: number };

export type OpenVersion = {
  /** What a projector feeds. */
  readonly target: ProjectionTarget;
  /** Of `core`: what answers, and what MEMBERS is made of. */
  readonly core?: ReadModel;
  /** Of `search`: what answers. */
  readonly search?: SearchModel;
};

export type ViewStore = {
  readonly catalog: CatalogStore;
  /** Those that this build knows how to project. */
  readonly views: readonly ViewName[];
  /** Makes no connection and asks nothing; the same object every time. */
  open(id: VersionId): OpenVersion;
  /** Of a version of `core`: what compares it with the log and puts it right. */
  openDrift(id: VersionId): DriftStore;
  /** Tables, collections and indexes of the version that are missing. Throws on trouble of the store; may be run again. */
  prepareVersion(id: VersionId): Promise<void>;
  /** Before it is read for the first time: what the store plans its questions by is gathered. */
  analyzeVersion(id: VersionId): Promise<void>;
  /** All of it; what is not there is no fault. */
  dropVersion(id: VersionId): Promise<void>;
  /** What the store holds, whatever the catalogue says. */
  listVersions(): Promise<readonly VersionId[]>;
};

/** Version 1 of core stood before there were versions, under a name of its own in each kind of store. */
export const versionNames = (firstCore: string) => {
  const pattern = /^chat_(read|search)_v([1-9]\d{0,8})$/;
  return {
    nameOf: ({ view, version }: VersionId): string => {
      if (view === 'core') return version === 1 ? firstCore : `chat_read_v${version}`;
      return `chat_search_v${version}`;
    },
    parse: (name: string): VersionId | undefined => {
      if (name === firstCore) return { view: 'core', version: 1 };
      const [, kind, digits] = pattern.exec(name) ?? [];
      if (kind === undefined) return undefined;
      return { view: kind === 'read' ? 'core' : 'search', version: Number(digits) };
    },
  };
};
