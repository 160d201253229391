/** All that an operator may ask for; each part brings its own handlers. */

import type { ViewStore } from '@chat/read-model/catalog/view-store';
import type { Logger } from '@chat/platform/log';
import type { NatsHandle } from '@chat/platform/nats/connect';
import type { ProjectorConfig } from '../config.ts';
import { createDriftHandlers } from '../drift/drift-handlers.ts';
import { type DriftRunner, createDriftRunner } from '../drift/drift-runner.ts';
import type { EventLog } from '../partition/event-log.ts';
import { createViewHandlers } from '../rebuild/view-handlers.ts';
import type { OpsHandlers } from './ops-handler.ts';

export type OpsHandlersDeps = {
  readonly config: ProjectorConfig;
  readonly nats: Pick<NatsHandle, 'js' | 'jsm'>;
  readonly store: ViewStore;
  readonly eventLog: EventLog;
  /** Without it one that no metric shows. */
  readonly drift?: DriftRunner | undefined;
  readonly log: Logger;
};

export const createOpsHandlers = (deps: OpsHandlersDeps): OpsHandlers => ({
  ...createViewHandlers(deps),
  ...createDriftHandlers({
    partitionCount: deps.config.PARTITIONS,
    runner: deps.drift ?? createDriftRunner(deps),
  }),
});
