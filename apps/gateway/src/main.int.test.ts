import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeCodes } from '@chat/contracts/protocol';
import { type AppProcess, spawnApp } from '@chat/testkit/processes/app-process';
import { freePort } from '@chat/testkit/servers/ports';
import { type World, createWorld, newTeamId, user } from './testing/gateway-world.ts';
import { openWire } from './testing/wire-client.ts';

let world: World;
const started: AppProcess[] = [];

beforeAll(async () => {
  world = await createWorld();
});
afterAll(async () => {
  for (const app of started) await app.stop();
  await world[Symbol.asyncDispose]();
});

const spawnGateway = async (
  env: Record<string, string> = {},
): Promise<{ app: AppProcess; port: number; health: number }> => {
  const [port, health] = [await freePort(), await freePort()];
  const { user: name, password } = world.nats.credentials.gateway;
  const jwks = join(world.nats.dataDir, `jwks-${randomUUID()}.json`);
  await writeFile(jwks, JSON.stringify(world.issuer.jwks));
  const app = await spawnApp({
    app: 'gateway',
    from: 'source',
    env: {
      CHAT_ENV: 'test',
      NATS_URL: world.nats.url,
      NATS_USER: name,
      NATS_PASSWORD: password,
      PARTITIONS: '1',
      WS_HOST: '127.0.0.1',
      WS_PORT: String(port),
      HEALTH_HOST: '127.0.0.1',
      HEALTH_PORT: String(health),
      JWT_AUDIENCE: 'chat',
      DEV_JWT_JWKS: jwks,
      DRAIN_GRACE_MS: '5000',
      ...env,
    },
  });
  started.push(app);
  return { app, port, health };
};

describe('the gateway process', () => {
  it('serves, and on SIGTERM sends its clients away and exits with 0', async () => {
    const ann = user('ann');
    const team = newTeamId();
    await world.makeTeam(team, ann);
    const { app, port, health } = await spawnGateway();
    await app.ready(60_000);
    const client = await openWire(`ws://127.0.0.1:${port}/ws/${team}`);
    client.send({ t: 'hello', token: await world.issuer.mint(ann) });
    await client.welcome();
    expect((await fetch(`http://127.0.0.1:${health}/health/liveness`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
    app.kill('SIGTERM');
    await client.frame('draining');
    expect((await client.closed).code).toBe(closeCodes.DRAINING);
    expect((await app.exited).code).toBe(0);
  });

  it('names every bad setting at once and exits with 78', async () => {
    const { app } = await spawnGateway({ PARTITIONS: 'many', CHAT_ENV: 'production', HEARTBEAT_MS: 'soon' });
    expect((await app.exited).code).toBe(78);
    const said = app.tail().join('\n');
    for (const name of ['PARTITIONS', 'HEARTBEAT_MS']) expect(said).toContain(name);
  });

  it('a taken port is one clear sentence and exit 1', async () => {
    const { app } = await spawnGateway({ WS_PORT: new URL(world.nats.url).port });
    expect((await app.exited).code).toBe(1);
    expect(app.tail().join('\n')).toContain('set WS_PORT to a free one');
  });
});
