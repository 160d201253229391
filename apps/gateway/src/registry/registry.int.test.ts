import { afterAll, beforeAll, expect, it } from 'vitest';
import type { NatsHandle } from '@chat/platform/nats/connect';
import { getMessage, streamState } from '@chat/platform/nats/streams';
import { type World, createWorld, newTeamId, until, user } from '../testing/gateway-world.ts';

const HEARTBEAT_MS = 300;
const TTL_MS = 3.25 * HEARTBEAT_MS;

let world: World;
let ops: NatsHandle;
const [ann, bob] = [user('ann'), user('bob')];
const team = newTeamId();

beforeAll(async () => {
  world = await createWorld();
  ops = await world.connect('ops');
  await world.makeTeam(team, ann, bob);
});
afterAll(() => world[Symbol.asyncDispose]());

/** As `nats kv get gateways <key>` reads it. */
const valueOf = async (key: string): Promise<unknown> => {
  const found = await getMessage(ops.jsm, 'KV_gateways', { lastBySubject: `$KV.gateways.${key}` });
  return found && found.header('KV-Operation') === ''
    ? JSON.parse(Buffer.from(found.data).toString())
    : undefined;
};

it('users are found under their gateway; those of a dead one vanish, those of a live one stay', async () => {
  const env = { REGISTRY_HEARTBEAT_MS: String(HEARTBEAT_MS) };
  const [one, other] = [await world.startGateway(env), await world.startGateway(env)];
  const [idOne, idOther] = [one.config.INSTANCE_ID, other.config.INSTANCE_ID];
  const clients = [await one.join(team, ann), await one.join(team, ann), await other.join(team, bob)];
  for (const client of clients) await client.welcome();
  await until('ann stands with two sockets', async () => {
    const page = await valueOf(`${idOne}.users.0`);
    return JSON.stringify(page) === JSON.stringify({ [team]: { ann: 2 } });
  });
  await until('bob stands', async () => (await valueOf(`${idOther}.users.0`)) !== undefined);
  expect(await one.metric('chat_gateway_registry_entries')).toBe(1);
  await until(
    'the count of sockets',
    async () => ((await valueOf(`${idOne}.info`)) as { sockets?: number })?.sockets === 2,
  );

  // What a killed process leaves: it stops writing, and takes nothing away.
  one.breakNats();
  const goneFromMs = Date.now();
  await until(
    'the entries of the dead gateway are gone',
    async () => (await valueOf(`${idOne}.users.0`)) === undefined,
  );
  expect(await valueOf(`${idOne}.info`)).toBeUndefined();
  expect(Date.now() - goneFromMs).toBeLessThan(TTL_MS + 5_000);
  expect(await valueOf(`${idOther}.users.0`)).toEqual({ [team]: { bob: 1 } });
  expect(await valueOf(`${idOther}.info`)).toMatchObject({ sockets: 1, users: 1, draining: false });

  // Who leaves in good order leaves nothing behind.
  await other.stop();
  expect(await valueOf(`${idOther}.users.0`)).toBeUndefined();
  expect(await valueOf(`${idOther}.info`)).toBeUndefined();
});

it('a broker that lost the bucket gets it again, and users that leave are taken out', async () => {
  const gateway = await world.startGateway({ REGISTRY_HEARTBEAT_MS: String(HEARTBEAT_MS) });
  const key = `${gateway.config.INSTANCE_ID}.users.0`;
  const client = await gateway.join(team, ann);
  await client.welcome();
  await until('ann stands', async () => (await valueOf(key)) !== undefined);
  await ops.jsm.streams.delete('KV_gateways');
  await until('the bucket is back with ann in it', async () => (await valueOf(key)) !== undefined);
  client.terminate();
  await until('ann is gone', async () => (await valueOf(key)) === undefined);
  const state = await streamState(ops.jsm, 'KV_gateways');
  expect(state.exists && state.messages).toBeLessThan(10);
});
