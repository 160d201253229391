import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { closeCodes } from '@chat/contracts/protocol';
import { type GatewayUnderTest, type World, createWorld, newTeamId, user } from '../testing/gateway-world.ts';

const HOUR_MS = 3_600_000;
/** What the gateway leaves a client to send `reauth` after its token expired, and a little. */
const GRACE_MS = 11_000;

let world: World;
let gateway: GatewayUnderTest;
const clock = { aheadMs: 0 };
const ann = user('ann');
const team = newTeamId();

beforeAll(async () => {
  world = await createWorld();
  await world.makeTeam(team, ann);
  gateway = await world.startGateway({}, { clock });
});
beforeEach(() => (clock.aheadMs = 0));
afterAll(() => world[Symbol.asyncDispose]());

it('a session whose token expired is told to come back with a new one, and no sooner than its grace', async () => {
  const client = await gateway.join(team, ann);
  await client.welcome();
  clock.aheadMs = HOUR_MS + 1_000;
  // The sweep that sends this tick has looked at the token as well.
  await client.frame('tick');
  expect(client.closeCode).toBeUndefined();
  clock.aheadMs = HOUR_MS + GRACE_MS;
  expect((await client.closed).code).toBe(closeCodes.TOKEN_EXPIRED);
  expect(client.frames.at(-1)).toMatchObject({ t: 'error', code: 'AUTH_TOKEN_EXPIRED' });
  expect(await gateway.metric('chat_gateway_sockets_closed_total', { reason: 'auth' })).toBe(1);
});

it('reauth in time keeps the session; a bad token or one of another user changes nothing', async () => {
  const client = await gateway.join(team, ann);
  await client.welcome();
  client.send({ t: 'reauth', token: 'nonsense' });
  expect(await client.frame('error')).toMatchObject({ code: 'AUTH_TOKEN_INVALID' });
  const from = client.frames.length;
  client.send({ t: 'reauth', token: await world.issuer.mint('bob', { ttlSeconds: 7_200 }) });
  expect(await client.frame('error', from)).toMatchObject({ code: 'AUTH_USER_CHANGED' });
  client.send({ t: 'reauth', token: await world.issuer.mint(ann, { ttlSeconds: 7_200 }) });
  // Verification is asynchronous and answers nothing; this socket opened behind it has gone through the same.
  const later = await gateway.join(team, ann);
  await later.welcome();
  clock.aheadMs = HOUR_MS + GRACE_MS;
  expect((await later.closed).code).toBe(closeCodes.TOKEN_EXPIRED);
  expect(client.closeCode).toBeUndefined();
  client.send({ t: 'ping' });
  await client.frame('pong');
  clock.aheadMs = 2 * HOUR_MS + GRACE_MS;
  expect((await client.closed).code).toBe(closeCodes.TOKEN_EXPIRED);
});
