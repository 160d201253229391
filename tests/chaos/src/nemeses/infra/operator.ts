/** An operator's slips at the `nats` CLI: a stream of events purged, a consumer in use deleted. */

import { cmdStream, evtStream } from '@chat/contracts/streams';
import { withJetStream } from '@chat/testkit/checking/collect';
import { natsAccess } from '../../dump.ts';
import type { Injection, Nemesis } from '../../nemesis.ts';
import { pick } from '../../random.ts';

const BETWEEN_MS = 3_000;

const purgeOne = ({ stack, fault }: Injection, partition: number): Promise<void> => {
  const stream = evtStream(partition);
  return fault({
    target: stream,
    action: 'purge',
    begin: () =>
      withJetStream(natsAccess(stack), async ({ jsm }) => {
        const { purged } = await jsm.streams.purge(stream);
        return purged > 0 ? [`${purged} messages of ${stream} were purged`] : [];
      }),
    heal: async () => [],
  });
};

const deleteOne = ({ stack, random, fault }: Injection, stream: string): Promise<void> =>
  fault({
    target: stream,
    action: 'delete a consumer',
    begin: () =>
      withJetStream(natsAccess(stack), async ({ jsm }) => {
        const names: string[] = [];
        for await (const { name } of jsm.consumers.list(stream)) names.push(name);
        if (names.length === 0) return [];
        const name = pick(random, names);
        return (await jsm.consumers.delete(stream, name))
          ? [`consumer ${name} of ${stream} was deleted, one of ${names.length}`]
          : [];
      }),
    heal: async () => [],
  });

const partitionsOf = ({ stack }: Injection): readonly number[] =>
  Array.from({ length: stack.partitions }, (_, partition) => partition);

export const operatorNemeses: readonly Nemesis[] = [
  {
    name: 'operator-purge-evt',
    about: 'An operator purges the events of a partition; what nobody had read yet comes from PostgreSQL.',
    needs: {},
    runbook: 'stream-purged',
    run: async (injection) => {
      const { signal, random, pause } = injection;
      while (!signal.aborted) {
        await purgeOne(injection, pick(random, partitionsOf(injection)));
        await pause(BETWEEN_MS * (0.5 + random()));
      }
    },
  },
  {
    name: 'operator-delete-consumer',
    about: 'An operator deletes a consumer that a writer, gateway or projector reads by; it makes another.',
    needs: {},
    runbook: 'feed-stalled',
    run: async (injection) => {
      const { signal, random, pause } = injection;
      const streams = partitionsOf(injection).flatMap((p) => [evtStream(p), cmdStream(p)]);
      while (!signal.aborted) {
        await deleteOne(injection, pick(random, streams));
        await pause(BETWEEN_MS * (0.5 + random()));
      }
    },
  },
];
