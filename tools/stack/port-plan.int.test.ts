import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { isPortFree } from '@chat/testkit/servers/ports';
import { choosePorts, portPlanFrom } from './port-plan.ts';

const listeners: Server[] = [];
const occupy = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    listeners.push(server);
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
afterEach(async () => {
  for (const server of listeners.splice(0)) await new Promise((resolve) => server.close(resolve));
});

/** A block of twenty that nobody uses now. */
const freeBlock = async (): Promise<number> => {
  for (let from = 12_000; from < 14_900; from += 20) {
    const ports = Array.from({ length: 20 }, (_, i) => from + i);
    if ((await Promise.all(ports.map((port) => isPortFree(port)))).every(Boolean)) return from;
  }
  throw new Error('no free block');
};

describe('the ports of the local stack', () => {
  it('that were asked for are used as they are', async () => {
    const from = await freeBlock();
    expect((await choosePorts(from, undefined)).plan).toEqual(portPlanFrom(from));
  });

  it('that were asked for and are taken are refused, naming the port', async () => {
    const from = await freeBlock();
    await occupy(from + 3);
    await expect(choosePorts(from, undefined)).rejects.toThrow(`Port ${from + 3} is taken`);
  });

  it('of the last start are used again, without a note', async () => {
    const from = await freeBlock();
    expect(await choosePorts(undefined, from)).toEqual({ plan: portPlanFrom(from) });
  });

  it('of the last start that are taken are left for others, and said so', async () => {
    const from = await freeBlock();
    await occupy(from + 9);
    const { plan, note } = await choosePorts(undefined, from);
    expect(plan.from).not.toBe(from);
    expect(note).toContain(`port ${from + 9} is taken`);
  });

  it('are sixteen different ones', () => {
    const plan = portPlanFrom(8080);
    const servers = [plan.nats, plan.postgres, plan.mongodb];
    const all = [plan.api, ...plan.gateways, ...servers, ...plan.health, ...plan.metrics];
    expect(new Set(all).size).toBe(16);
    expect(Math.max(...all) - Math.min(...all)).toBe(15);
  });
});
