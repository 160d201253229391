/** A small stack with tracing on and LOG_LEVEL=trace, alice and bob on different gateways, watched from outside. */

import { type ChatStack, startChatStack } from '@chat/testkit/processes/chat-stack';
import type { SeededTeam } from '@chat/testkit/processes/seed-team';
import { scrape } from './exposition.ts';
import { type OtlpReceiver, startOtlpReceiver } from './otlp-receiver.ts';
import { type Wire, openWire } from './wire.ts';

export const apps = ['gateway-1', 'gateway-2', 'writer-1', 'projector-1', 'api-1'] as const;

export type LogLine = { readonly name: string; readonly line: string };

export type ObservedStack = {
  readonly stack: ChatStack;
  readonly team: SeededTeam;
  /** A channel of both. */
  readonly channelId: string;
  readonly receiver: OtlpReceiver;
  /** Every line that every app has written. */
  readonly lines: readonly LogLine[];
  readonly alice: Wire;
  readonly aliceToken: string;
  /** Alice sends it; resolves when it is persisted. */
  say(text: string): Promise<void>;
  /** Alice posts to the api. */
  post(path: string, body: string, token?: string): Promise<Response>;
  /** What each app answers to a scrape. */
  expositions(): Promise<ReadonlyMap<string, string>>;
  stop(): Promise<void>;
};

export const startObservedStack = async (): Promise<ObservedStack> => {
  const receiver = await startOtlpReceiver();
  const lines: LogLine[] = [];
  const tracing = { TRACE_SAMPLE_RATIO: '1', OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint };
  // The tests say more than a person does.
  const gateway = { ...tracing, MESSAGE_BURST_COUNT: '1000', MESSAGE_SUSTAINED_COUNT: '10000' };
  const stack = await startChatStack({
    partitions: 2,
    fsync: false,
    supervise: true,
    logLevel: 'trace',
    env: { gateway, writer: tracing, projector: tracing, api: tracing },
    onLine: (name, line) => lines.push({ name, line }),
  }).catch(async (error: unknown) => {
    await receiver.stop();
    throw error;
  });
  const sockets: Wire[] = [];
  const stop = async (): Promise<void> => {
    await Promise.allSettled(sockets.map((wire) => wire.close()));
    await stack.stopAll();
    await receiver.stop();
  };
  try {
    const plan = { owner: 'alice', members: ['bob'], channels: [{ name: 'general' }] };
    const team = await stack.seedTeam(plan);
    const channelId = team.channels['general'] ?? '';
    const aliceToken = await stack.mintToken('alice');
    const [one = '', two = ''] = stack.gatewayUrls;
    const alice = await openWire(one, team.teamId, aliceToken);
    const bob = await openWire(two, team.teamId, await stack.mintToken('bob'));
    sockets.push(alice, bob);
    for (const wire of sockets) await wire.frame(({ t }) => t === 'welcome');
    return {
      stack,
      team,
      channelId,
      receiver,
      lines,
      alice,
      aliceToken,
      say: async (text) => {
        const { t, code } = await alice.outcome(alice.send(channelId, text));
        if (t !== 'persisted') throw new Error(`not persisted: ${code}`);
      },
      post: (path, body, token = aliceToken) =>
        fetch(`${stack.apiUrl}${path}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body,
          signal: AbortSignal.timeout(20_000),
        }),
      expositions: async () =>
        new Map(
          await Promise.all(apps.map(async (name) => [name, await scrape(stack.metricsUrl(name))] as const)),
        ),
      stop,
    };
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
};
