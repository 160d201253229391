/** What the last check of a whole partition found, by this process. An alert goes by the newest check of all processes. */

import type { Metrics } from '@chat/platform/metrics';
import type { DriftReport } from '@chat/read-model/drift/check';

export type DriftMetrics = {
  checked(report: DriftReport, memberViewCount: number, nowMs: number): void;
};

export const createDriftMetrics = (metrics: Metrics): DriftMetrics => {
  const rows = metrics.gauge({
    name: 'chat_projector_drift_rows',
    help: 'Rows of the read model that are not what event_log says, as found by the last check of the partition here.',
    labelNames: ['partition', 'what', 'kind'],
  });
  const checkedAt = metrics.gauge({
    name: 'chat_projector_drift_checked_timestamp_seconds',
    help: 'When this process last compared the partition with event_log.',
    labelNames: ['partition'],
  });
  // No series where nothing drifted: there are as many as there is trouble.
  const show = (labels: { partition: number; what: string; kind: string }, count: number): void => {
    if (count > 0) rows.set(labels, count);
    else rows.remove(labels);
  };
  return {
    checked: (report, memberViewCount, nowMs) => {
      if (report.kind !== 'checked') return;
      const { partition, totals } = report;
      for (const [what, kinds] of Object.entries(totals))
        for (const [kind, count] of Object.entries(kinds)) show({ partition, what, kind }, count);
      show({ partition, what: 'member_view', kind: 'differs' }, memberViewCount);
      checkedAt.set({ partition }, nowMs / 1_000);
    },
  };
};
