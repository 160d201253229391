/**
 * The core against a model of the service that does its worst within the protocol: frames are lost with their
 * connection, acceptances and outcomes stay unsaid, refusals for the moment come at random, connections die at
 * any step. In the end every command stands in the log exactly once, a channel's commands in the order they
 * were wished, every verdict is true, and the events applied are the whole log, each once, in order.
 */

import type { EventElement } from '@chat/contracts/events';
import type { ServerFrame } from '@chat/contracts/frames';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createOutbox } from './outbox.ts';
import { createSessionCore } from './session-core.ts';
import type { SessionEffect, Verdict } from './session-types.ts';

const channels = ['A', 'B'];

/** Choices come from a tape; when it has run out the service is healthy. */
const createTape = (choices: readonly number[]) => {
  let at = 0;
  return {
    isOver: (): boolean => at >= choices.length,
    /** A number in [0, 100); 99 when the tape is over. */
    next: (): number => choices[at++] ?? 99,
  };
};

type Logged = { readonly id: string; readonly channelId: string };

const runModel = (choices: readonly number[], commandCount: number) => {
  const tape = createTape(choices);
  const random = (): number => tape.next() / 100;
  const outbox = createOutbox(random);
  const core = createSessionCore({ gatewayUrls: ['1', '2'], random, outbox, resumeFrom: {} });
  const log: Logged[] = [];
  const stored = new Set<string>();
  const queue: Logged[] = [];
  const applied: EventElement[] = [];
  const verdicts: Verdict[] = [];
  /** Frames on their way to the client, lost when the connection dies. */
  let toClient: ServerFrame[] = [];
  let isOpen = false;
  let firstHead = 0;
  let nowMs = 0;
  let fedSeq = 0;

  const eventAt = (seq: number): EventElement => {
    const { id, channelId } = log[seq - 1] as Logged;
    return {
      seq,
      type: 'message.sent',
      v: 1,
      at: 0,
      channelId,
      commandId: id,
      hash: 'h',
      actor: 'me',
      data: { text: '' },
    } as never;
  };
  const feed = (): void => {
    if (!isOpen || fedSeq >= log.length) return;
    const events = Array.from({ length: log.length - fedSeq }, (_, i) => eventAt(fedSeq + i + 1));
    fedSeq = log.length;
    toClient.push({ t: 'events', events });
  };
  const persistOne = (): void => {
    const next = queue.shift();
    if (next) log.push(next);
  };

  const onCommand = (id: string, channelId: string): void => {
    const luck = tape.next();
    if (luck < 10) return; // read, then the gateway died
    if (luck < 25) {
      toClient.push({
        t: 'rejected',
        id,
        code: 'RATE_LIMITED',
        message: '',
        retryable: true,
        retryAfterMs: luck * 10,
      });
      return;
    }
    if (!stored.has(id)) {
      stored.add(id);
      queue.push({ id, channelId });
    }
    if (luck >= 40) toClient.push({ t: 'accepted', id: id as never });
    if (luck < 60) return;
    while (queue.length > 0) persistOne();
    const seq = log.findIndex((entry) => entry.id === id) + 1;
    if (luck >= 80) toClient.push({ t: 'persisted', id: id as never, seq });
  };

  const onSend = (effect: Extract<SessionEffect, { kind: 'send' }>): void => {
    const { frame } = effect;
    if (frame.t === 'cmd') onCommand(frame.id, (frame.data as Logged).channelId);
    if (frame.t !== 'hello') return;
    isOpen = true;
    fedSeq = frame.cursor?.seq ?? log.length;
    if (!frame.cursor) firstHead = log.length;
    toClient.push({
      t: 'welcome',
      teamId: 't' as never,
      userId: 'me' as never,
      sessionId: 's',
      epoch: 'e',
      head: log.length,
      resume: frame.cursor ? 'replayed' : 'fresh',
      heartbeatMs: 15_000,
      limits: { frameMaxBytes: 1, textMaxBytes: 1, inFlightMaxCount: 3 },
    });
  };

  const run = (effects: readonly SessionEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === 'open') {
        toClient = [];
        isOpen = false;
        if (tape.next() < 20) run(core.handle({ kind: 'closed', closeCode: 1006, message: '' }, nowMs));
        else run(core.handle({ kind: 'opened' }, nowMs));
      } else if (effect.kind === 'close') {
        isOpen = false;
        toClient = [];
      } else if (effect.kind === 'send') onSend(effect);
      else if (effect.kind === 'apply') applied.push(...effect.events);
      else if (effect.kind === 'verdict') verdicts.push(effect.verdict);
      else if (effect.kind === 'snapshot') {
        run(core.handle({ kind: 'snapshot_done', snapshotId: effect.snapshotId }, nowMs));
      }
    }
  };

  const step = (): void => {
    const luck = tape.next();
    if (luck < 8 && isOpen) {
      isOpen = false;
      toClient = [];
      return run(core.handle({ kind: 'closed', closeCode: 4001, message: '' }, nowMs));
    }
    if (luck > 30) persistOne();
    if (luck > 40) feed();
    const frame = luck > 20 ? toClient.shift() : undefined;
    if (frame) return run(core.handle({ kind: 'frame', frame }, nowMs));
    const wakeMs = core.nextWakeMs(nowMs);
    nowMs = tape.isOver() && wakeMs !== undefined ? Math.max(nowMs, wakeMs) : nowMs + luck * 20;
    run(core.handle({ kind: 'wake' }, nowMs));
  };

  run(core.handle({ kind: 'start' }, nowMs));
  for (let i = 0; i < commandCount; i += 1) {
    const channelId = channels[i % channels.length] ?? '';
    outbox.add({
      id: `${channelId}${String(i).padStart(4, '0')}`,
      name: 'message.send',
      data: { channelId },
      submittedAtMs: 0,
    });
    run(core.handle({ kind: 'wake' }, nowMs));
    step();
  }
  let stepCount = 0;
  const isQuiet = (): boolean =>
    tape.isOver() && outbox.size() === 0 && core.cursor()?.seq === log.length && toClient.length === 0;
  while (!isQuiet() && stepCount < 20_000) {
    step();
    stepCount += 1;
  }
  return { isQuiet: isQuiet(), log, applied, verdicts, firstHead };
};

it('loses, doubles and reorders nothing, whatever breaks on the way', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 400 }),
      fc.integer({ min: 1, max: 30 }),
      (choices, commandCount) => {
        const { isQuiet, log, applied, verdicts, firstHead } = runModel(choices, commandCount);
        expect(isQuiet).toBe(true);
        expect(log).toHaveLength(commandCount);
        for (const channelId of channels) {
          const ids = log.filter((entry) => entry.channelId === channelId).map(({ id }) => id);
          expect(ids).toEqual([...ids].sort());
        }
        expect(applied.map(({ seq }) => seq)).toEqual(
          Array.from({ length: log.length - firstHead }, (_, i) => firstHead + i + 1),
        );
        expect(verdicts.map(({ id }) => id).sort()).toEqual(log.map(({ id }) => id).sort());
        for (const verdict of verdicts) {
          expect(verdict.kind === 'persisted' && log[verdict.seq - 1]?.id).toBe(verdict.id);
        }
      },
    ),
    { numRuns: 500 },
  );
});
