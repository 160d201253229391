/** One proxied connection of a link: two sockets and what is under way between them in each direction. */

import { type Socket, connect } from 'node:net';
import type { LinkMode, MutableStats } from './tcp-link.ts';

export type Direction = 'toServer' | 'toClient';

const QUEUE_MAX_BYTES = 256 * 1024;
const STALL_MIN_MS = 200;
const STALL_SPREAD_MS = 800;

export type ConnectionDeps = {
  readonly targetPort: () => number;
  readonly mode: () => LinkMode;
  readonly stats: MutableStats;
  readonly random: () => number;
  readonly onGone: () => void;
};

const isHeld = (mode: LinkMode, direction: Direction): boolean =>
  mode.kind === 'blackhole' && (mode.direction === 'both' || mode.direction === direction);

type Pump = { look(): void; stop(): void; readonly hasEnded: boolean };
type Piece = { readonly data: Buffer | undefined; readonly dueMs: number };

/** Moves what `from` says to `to`. Pieces leave in order, each not before it is due. */
const createPump = (
  from: Socket,
  to: Socket,
  direction: Direction,
  deps: ConnectionDeps,
  reset: () => void,
): Pump => {
  const { mode, stats, random } = deps;
  const queue: Piece[] = [];
  let queuedBytes = 0;
  let lastDueMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let isFull = false;
  let hasEnded = false;

  const dueOf = (nowMs: number): number => {
    const now = mode();
    let delayMs = 0;
    if (now.kind === 'delay') {
      stats.delayedCount += 1;
      delayMs = Math.max(0, now.ms + (random() * 2 - 1) * now.jitterMs);
    } else if (now.kind === 'loss' && random() < now.stallShare) {
      stats.stalledCount += 1;
      delayMs = STALL_MIN_MS + random() * STALL_SPREAD_MS;
    }
    lastDueMs = Math.max(lastDueMs, nowMs + delayMs);
    return lastDueMs;
  };

  const look = (): void => {
    clearTimeout(timer);
    for (let piece = queue[0]; piece && !isFull; piece = queue[0]) {
      if (isHeld(mode(), direction)) return;
      const waitMs = piece.dueMs - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(look, waitMs);
        return;
      }
      queue.shift();
      if (!piece.data) {
        to.end();
        continue;
      }
      queuedBytes -= piece.data.length;
      stats[`${direction}Bytes`] += piece.data.length;
      isFull = !to.write(piece.data);
    }
    if (queuedBytes < QUEUE_MAX_BYTES / 2) from.resume();
  };

  from.on('data', (data: Buffer) => {
    const now = mode();
    if (now.kind === 'loss' && random() < now.resetShare) {
      stats.resetCount += 1;
      return reset();
    }
    queue.push({ data, dueMs: dueOf(performance.now()) });
    queuedBytes += data.length;
    if (queuedBytes >= QUEUE_MAX_BYTES) from.pause();
    look();
  });
  from.on('end', () => {
    hasEnded = true;
    queue.push({ data: undefined, dueMs: lastDueMs });
    look();
  });
  to.on('drain', () => {
    isFull = false;
    look();
  });
  return {
    look,
    stop: () => clearTimeout(timer),
    get hasEnded() {
      return hasEnded;
    },
  };
};

export const createConnection = (client: Socket, deps: ConnectionDeps) => {
  let server: Socket | undefined;
  let pumps: readonly Pump[] = [];
  let isOver = false;
  /** One side is gone without a word: the other learns of it, but not through a black hole. */
  let isBroken = false;

  const reset = (): void => {
    if (isOver) return;
    isOver = true;
    for (const pump of pumps) pump.stop();
    client.resetAndDestroy();
    server?.resetAndDestroy();
    deps.onGone();
  };
  const onClose = (): void => {
    const isOrderly = client.destroyed && server?.destroyed === true;
    const haveEnded = pumps.length > 0 && pumps.every((pump) => pump.hasEnded);
    isBroken ||= !isOrderly && !haveEnded;
    if (isOrderly) reset();
    else look();
  };
  const dial = (): void => {
    const opened = connect({
      host: '127.0.0.1',
      port: deps.targetPort(),
      allowHalfOpen: true,
      noDelay: true,
    });
    server = opened;
    opened.on('error', () => undefined).on('close', onClose);
    pumps = [
      createPump(client, opened, 'toServer', deps, reset),
      createPump(opened, client, 'toClient', deps, reset),
    ];
    client.resume();
  };
  const look = (): void => {
    if (isOver) return;
    const isBlack = deps.mode().kind === 'blackhole';
    if (isBroken && !isBlack) return reset();
    if (!server && !isBroken && !isHeld(deps.mode(), 'toServer')) dial();
    for (const pump of pumps) pump.look();
  };
  client.on('error', () => undefined).on('close', onClose);
  return { look, reset };
};
