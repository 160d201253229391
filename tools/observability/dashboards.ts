/**
 * The Grafana dashboards, as one list of rows and panels; `npm run dashboards` writes them to deploy/observability/grafana.
 * A panel is a title, a unit and its queries; every query names a metric that exists (a test scrapes a running stack).
 */

export type Query = { readonly expr: string; readonly legend: string };
export type Panel = {
  readonly title: string;
  readonly about: string;
  /** Grafana's unit names: `s`, `bytes`, `reqps`, `percentunit`, `short`. */
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly kind?: 'stat';
  /** A line at this value: an objective or an alert's threshold. */
  readonly threshold?: number;
};
export type Row = { readonly title: string; readonly panels: readonly Panel[] };
export type Dashboard = { readonly uid: string; readonly title: string; readonly rows: readonly Row[] };

const q = (expr: string, legend = ''): Query => ({ expr, legend });
const panel = (
  title: string,
  unit: string,
  about: string,
  queries: readonly Query[],
  more: Partial<Panel> = {},
): Panel => ({ title, unit, about, queries, ...more });
const rate = (metric: string): string => `rate(${metric}[$__rate_interval])`;
const rateBy = (label: string, metric: string): Query =>
  q(`sum by (${label}) (${rate(metric)})`, `{{${label}}}`);
const quantiles = (metric: string, labels = ''): readonly Query[] =>
  [0.5, 0.95, 0.99].map((quantile) =>
    q(
      `histogram_quantile(${quantile}, sum by (le) (${rate(`${metric}_bucket${labels}`)}))`,
      `p${quantile * 100}`,
    ),
  );
const each = (metric: string, legend: string): Query => q(metric, legend);
const by = (label: string, how: string, metric: string): Query =>
  q(`${how} by (${label}) (${metric})`, `{{${label}}}`);

const overview: Dashboard = {
  uid: 'chat-overview',
  title: 'Chat: overview',
  rows: [
    {
      title: 'Objectives',
      panels: [
        panel(
          'Deliveries that fail',
          'percentunit',
          'Objective: at most 0.5 %.',
          [q('chat:delivery_errors:ratio_rate5m', '5 min'), q('chat:delivery_errors:ratio_rate1h', '1 h')],
          { threshold: 0.005 },
        ),
        panel(
          'Frame to last member',
          's',
          'Objective: p95 under 300 ms.',
          quantiles('chat_gateway_delivery_duration_seconds'),
          { threshold: 0.3 },
        ),
        panel(
          'API requests that fail',
          'percentunit',
          'Objective: at most 0.1 %.',
          [q('chat:api_errors:ratio_rate5m', '5 min'), q('chat:api_errors:ratio_rate1h', '1 h')],
          { threshold: 0.001 },
        ),
        panel(
          'API latency',
          's',
          'Objective: p95 under 500 ms; alert at 700 ms.',
          quantiles('chat_api_request_duration_seconds'),
          { threshold: 0.5 },
        ),
      ],
    },
    {
      title: 'Traffic',
      panels: [
        panel('Open sockets', 'short', 'All gateways.', [q('sum(chat_gateway_sockets)', 'sockets')], {
          kind: 'stat',
        }),
        panel('Messages', 'reqps', 'Commands by outcome, seen by the gateways.', [
          rateBy('result', 'chat_gateway_commands_total'),
        ]),
        panel('Connections', 'reqps', 'Opened, and closed by reason.', [
          q(`sum(${rate('chat_gateway_sockets_opened_total')})`, 'opened'),
          rateBy('reason', 'chat_gateway_sockets_closed_total'),
        ]),
        panel('API requests', 'reqps', 'By status.', [rateBy('status', 'chat_api_requests_total')]),
      ],
    },
    {
      title: 'What is wrong',
      panels: [
        panel('Alerts that fire', 'short', '', [
          q('count by (alertname, severity) (ALERTS{alertstate="firing"})', '{{severity}} {{alertname}}'),
        ]),
        panel('Processes', 'short', 'That answer a scrape.', [by('job', 'sum', 'up{job=~"chat-.+"}')]),
        panel('Breakers', 'short', '0 closed, 1 half-open, 2 open.', [
          q('max by (job, breaker) (chat_breaker_state)', '{{job}} {{breaker}}'),
        ]),
        panel('NATS connections lost', 'short', 'Connections that do not stand now.', [
          q('sum by (job) (1 - chat_nats_connected)', '{{job}}'),
        ]),
      ],
    },
    {
      title: 'Processes',
      panels: [
        panel('CPU', 'short', 'Cores.', [
          q(
            `sum by (job, instance) (${rate('process_cpu_seconds_total{job=~"chat-.+"}')})`,
            '{{job}} {{instance}}',
          ),
        ]),
        panel('Memory', 'bytes', 'Resident.', [
          each('process_resident_memory_bytes{job=~"chat-.+"}', '{{job}} {{instance}}'),
        ]),
        panel('Event loop delay', 's', 'p99.', [
          each('nodejs_eventloop_lag_p99_seconds{job=~"chat-.+"}', '{{job}} {{instance}}'),
        ]),
        panel('Versions', 'short', '', [
          q('count by (service, version) (chat_build_info)', '{{service}} {{version}}'),
        ]),
      ],
    },
  ],
};

const gateway: Dashboard = {
  uid: 'chat-gateway',
  title: 'Chat: gateway',
  rows: [
    {
      title: 'Sockets',
      panels: [
        panel('Open sockets', 'short', 'By gateway.', [by('instance', 'sum', 'chat_gateway_sockets')]),
        panel('Closed', 'reqps', 'By reason.', [rateBy('reason', 'chat_gateway_sockets_closed_total')]),
        panel('Hellos', 'reqps', 'By how they were answered.', [
          rateBy('result', 'chat_gateway_hellos_total'),
        ]),
        panel(
          'Hello',
          's',
          'From the frame to the welcome.',
          quantiles('chat_gateway_hello_duration_seconds'),
        ),
        panel('Come back', 'reqps', 'Hellos with a cursor.', [
          q(`sum(${rate('chat_gateway_reconnects_total')})`, 'reconnects'),
        ]),
        panel('Draining', 'short', '', [by('instance', 'max', 'chat_gateway_draining')]),
      ],
    },
    {
      title: 'In',
      panels: [
        panel('Frames', 'reqps', 'By type.', [rateBy('type', 'chat_gateway_frames_received_total')]),
        panel('Refusals', 'reqps', 'By code.', [rateBy('code', 'chat_gateway_refusals_total')]),
        panel('Limits', 'reqps', 'Refusals by limit.', [rateBy('limit', 'chat_limit_refusals_total')]),
        panel('Users over a limit', 'short', 'Within the last 5 minutes.', [
          by('instance', 'sum', 'chat_limit_violators'),
        ]),
        panel(
          'Frame to outcome',
          's',
          'Of own commands.',
          quantiles('chat_gateway_command_duration_seconds'),
        ),
        panel('Commands in flight', 'short', '', [by('instance', 'sum', 'chat_gateway_commands_in_flight')]),
        panel('Bytes of commands not stored', 'bytes', 'Bound: COMMAND_QUEUE_MAX_BYTES.', [
          by('instance', 'sum', 'chat_gateway_command_queue_bytes'),
        ]),
      ],
    },
    {
      title: 'Out',
      panels: [
        panel('Events and deliveries', 'reqps', '', [
          q(`sum(${rate('chat_gateway_events_total')})`, 'events'),
          q(`sum(${rate('chat_gateway_deliveries_total')})`, 'deliveries'),
          q(`sum(${rate('chat_gateway_delivery_errors_total')})`, 'errors'),
        ]),
        panel(
          'Frame to last member',
          's',
          'Objective: p95 under 300 ms.',
          quantiles('chat_gateway_delivery_duration_seconds'),
          { threshold: 0.3 },
        ),
        panel('Slow readers', 'short', '', [by('instance', 'sum', 'chat_gateway_slow_readers')]),
        panel(
          'How far devices are behind',
          'short',
          'Events; half of the devices, 99 of 100, and the last one are at most so far behind.',
          [q('max by (fraction) (chat_gateway_device_lag_events)', '{{fraction}}')],
        ),
        panel(
          'Feed stalled',
          's',
          'At 30 s a gateway sends its clients elsewhere.',
          [
            q(
              'max by (instance, partition) (chat_gateway_feed_stalled_seconds)',
              '{{instance}} {{partition}}',
            ),
          ],
          { threshold: 10 },
        ),
        panel('Tail', 'bytes', 'Events kept for resume.', [by('instance', 'sum', 'chat_gateway_tail_bytes')]),
      ],
    },
  ],
};

const pipeline: Dashboard = {
  uid: 'chat-pipeline',
  title: 'Chat: pipeline',
  rows: [
    {
      title: 'Writer',
      panels: [
        panel('Owner', 'short', 'Which writer owns which partition.', [
          q('max by (partition, instance) (chat_writer_partition_owned) == 1', '{{partition}}: {{instance}}'),
        ]),
        panel('Commands', 'reqps', 'By outcome.', [rateBy('outcome', 'chat_writer_commands_total')]),
        panel(
          'Backlog',
          'short',
          'Commands that wait.',
          [by('partition', 'max', 'chat_writer_command_backlog')],
          { threshold: 5_000 },
        ),
        panel('Commands in a batch', 'short', '', quantiles('chat_writer_batch_commands')),
        panel('Commit', 's', '', quantiles('chat_writer_commit_duration_seconds')),
        panel(
          'Relay',
          's',
          'Commit to the stream’s acknowledgement.',
          quantiles('chat_writer_relay_duration_seconds'),
        ),
        panel('Unpublished events', 'short', '', [by('partition', 'max', 'chat_writer_unpublished_events')], {
          threshold: 1_000,
        }),
        panel(
          'Oldest unpublished',
          's',
          '',
          [by('partition', 'max', 'chat_writer_oldest_unpublished_seconds')],
          { threshold: 300 },
        ),
        panel('Takeovers, poison', 'short', 'Within an hour.', [
          q('sum(increase(chat_writer_takeovers_total[1h]))', 'takeovers'),
          q('sum(increase(chat_writer_poison_commands_total[1h]))', 'poison'),
        ]),
        panel('Halted', 'short', 'A person must choose.', [
          by('partition', 'max', 'chat_writer_partition_halted'),
        ]),
      ],
    },
    {
      title: 'Positions',
      panels: [
        panel('Gateway behind the writer', 'short', 'Events.', [
          q(
            'max by (partition) (chat_writer_partition_position) - min by (partition) (chat_gateway_partition_position)',
            '{{partition}}',
          ),
        ]),
        panel('Projector of a partition', 'short', 'Which projector projects which partition.', [
          q(
            'max by (partition, instance) (chat_projector_partition_owned) == 1',
            '{{partition}}: {{instance}}',
          ),
        ]),
        panel('Projector behind the stream', 'short', 'Events.', [
          q(
            'max by (partition, view, stage) (chat_projector_lag_events)',
            '{{partition}} {{view}} {{stage}}',
          ),
        ]),
        panel(
          'Read model is old by',
          's',
          'Live versions.',
          [
            q(
              'max by (partition, view) (chat_projector_lag_seconds{stage="live"})',
              '{{partition}} {{view}}',
            ),
          ],
          { threshold: 30 },
        ),
        panel('Events projected', 'short', 'Per second; a rebuild shows here.', [
          rateBy('view', 'chat_projector_events_total'),
        ]),
        panel('Read model drift', 'short', 'Rows that are not what event_log says, as last compared.', [
          q('sum by (partition, what) (chat_projector_drift_rows)', '{{partition}} {{what}}'),
        ]),
        panel('Projector batch', 's', '', quantiles('chat_projector_batch_duration_seconds')),
      ],
    },
    {
      title: 'Stores',
      panels: [
        panel(
          'Streams',
          'percentunit',
          'Of their bound.',
          [
            q(
              'max by (stream) (chat_stream_bytes) / (max by (stream) (chat_stream_max_bytes) > 0)',
              '{{stream}}',
            ),
          ],
          { threshold: 0.8 },
        ),
        panel('Breakers', 'short', '0 closed, 1 half-open, 2 open.', [
          q('max by (job, breaker) (chat_breaker_state)', '{{job}} {{breaker}}'),
        ]),
        panel('Database errors', 'reqps', 'By kind.', [rateBy('kind', 'chat_database_errors_total')]),
        panel('Pool in use', 'percentunit', 'Active connections of the most.', [
          q(
            'sum by (job, instance, pool) (chat_postgres_pool_connections{state="active"}) / sum by (job, instance, pool) (chat_postgres_pool_max_connections)',
            '{{job}} {{pool}}',
          ),
          q(
            'sum by (job, instance, pool) (chat_mongodb_pool_connections{state="active"}) / sum by (job, instance, pool) (chat_mongodb_pool_max_connections)',
            '{{job}} {{pool}} MongoDB',
          ),
        ]),
        panel('Waiting for a connection', 'short', '', [
          q('sum by (job, pool) (chat_postgres_pool_connections{state="waiting"})', '{{job}} {{pool}}'),
          q(
            'sum by (job, pool) (chat_mongodb_pool_connections{state="waiting"})',
            '{{job}} {{pool}} MongoDB',
          ),
        ]),
        panel('NATS reconnects', 'short', 'Within an hour.', [
          q('sum by (job) (increase(chat_nats_reconnects_total[1h]))', '{{job}}'),
        ]),
      ],
    },
  ],
};

export const dashboards: readonly Dashboard[] = [overview, gateway, pipeline];

const COLUMNS = 24;
const PANEL_WIDTH = 6;
const PANEL_HEIGHT = 7;
const datasource = { type: 'prometheus', uid: '${datasource}' };

const panelJson = (one: Panel, id: number, x: number, y: number): object => ({
  id,
  type: one.kind ?? 'timeseries',
  title: one.title,
  description: one.about,
  datasource,
  gridPos: { h: PANEL_HEIGHT, w: PANEL_WIDTH, x, y },
  fieldConfig: {
    defaults: {
      unit: one.unit,
      min: 0,
      ...(one.threshold === undefined
        ? {}
        : {
            custom: { thresholdsStyle: { mode: 'line' } },
            thresholds: {
              mode: 'absolute',
              steps: [
                { color: 'green', value: null },
                { color: 'red', value: one.threshold },
              ],
            },
          }),
    },
    overrides: [],
  },
  targets: one.queries.map(({ expr, legend }, at) => ({
    refId: String.fromCharCode(65 + at),
    datasource,
    expr,
    legendFormat: legend,
  })),
});

/** The JSON that Grafana imports. */
export const dashboardJson = ({ uid, title, rows }: Dashboard): string => {
  const panels: object[] = [];
  let y = 0;
  for (const row of rows) {
    const gridPos = { h: 1, w: COLUMNS, x: 0, y };
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos,
      panels: [],
    });
    y += 1;
    row.panels.forEach((one, at) => {
      const x = (at * PANEL_WIDTH) % COLUMNS;
      if (at > 0 && x === 0) y += PANEL_HEIGHT;
      panels.push(panelJson(one, panels.length + 1, x, y));
    });
    y += PANEL_HEIGHT;
  }
  const whole = {
    uid,
    title,
    tags: ['chat'],
    schemaVersion: 39,
    editable: false,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus' }] },
    panels,
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
};
