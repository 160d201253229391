/** Few sockets, and no timing asserted: what must hold for everyone holds for these. */

import { expect, it } from 'vitest';
import { drainSockets } from './drain.ts';
import { idleSockets } from './idle-sockets.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { createSwarm, until } from './socket-swarm.ts';
import { startRawSockets } from './socket-targets.ts';

const few = { socketCount: 50, drainGraceMs: 6_000 };

it('idle sockets are let in and stay', async () => {
  const { figures, faults } = await idleSockets(few);
  expect(faults).toEqual([]);
  expect(figures.handshakeRatio).toBeGreaterThan(0);
}, 90_000);

it('in a reconnect storm everybody gets what it missed once, in order, and is live after it', async () => {
  const { faults, figures } = await reconnectStorm(few);
  expect(faults).toEqual([]);
  expect(figures.missedEach).toBe(100);
}, 90_000);

it('a drained gateway tells all its sockets, and they move to the other one without missing a message', async () => {
  const { faults, figures } = await drainSockets(few);
  expect(faults).toEqual([]);
  expect(figures).toMatchObject({ toldCount: 50, movedCount: 50 });
  expect(figures.slotMaxMs).toBeGreaterThan(figures.slotMinMs!);
}, 90_000);

it('a server that closes a socket is found out', async () => {
  const raw = await startRawSockets();
  const swarm = createSwarm({ tokens: [undefined, undefined] });
  await swarm.connectAll(raw.address, 2);
  await raw.stop();
  await until(() => swarm.faults.length === 2, 5_000);
  expect(swarm.faults).toHaveLength(2);
}, 30_000);
