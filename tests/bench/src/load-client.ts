/** The load client's process. */

import { serveLoadProcess } from './load-process.ts';
import { createLoadRun } from './load-run.ts';

serveLoadProcess(createLoadRun);
