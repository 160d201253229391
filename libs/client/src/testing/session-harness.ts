/** Drives a session core by hand: inputs and time in, effects out. */

import type { EventElement } from '@chat/contracts/events';
import type { ServerFrame, WelcomeFrame } from '@chat/contracts/frames';
import { expect } from 'vitest';
import { createOutbox } from '../outbox.ts';
import { createSessionCore } from '../session-core.ts';
import type { ResumePoint, SessionEffect, SessionInput } from '../session-types.ts';

const channelA = '00000000-0000-7000-8000-00000000000a';
export const channelB = '00000000-0000-7000-8000-00000000000b';

export type Harness = ReturnType<typeof harness>;

export const harness = (options: { resumeFrom?: ResumePoint; random?: () => number } = {}) => {
  const random = options.random ?? (() => 0.5);
  const outbox = createOutbox(random);
  const core = createSessionCore({
    gatewayUrls: ['ws://one', 'ws://two'],
    random,
    outbox,
    resumeFrom: options.resumeFrom ?? {},
  });
  let nowMs = 1_000_000;
  const give = (input: SessionInput): readonly SessionEffect[] => core.handle(input, nowMs);
  return {
    core,
    outbox,
    give,
    frame: (frame: ServerFrame) => give({ kind: 'frame', frame }),
    pass: (ms: number) => ((nowMs += ms), give({ kind: 'wake' })),
    nextWakeInMs: () => {
      const at = core.nextWakeMs(nowMs);
      return at === undefined ? undefined : at - nowMs;
    },
    submit: (id: string, channelId = channelA) => {
      outbox.add({ id, name: 'message.send', data: { channelId, text: id }, submittedAtMs: nowMs });
      return give({ kind: 'wake' });
    },
  };
};

export const welcome = (over: Partial<WelcomeFrame> = {}): ServerFrame =>
  ({
    t: 'welcome',
    teamId: 'team',
    userId: 'alice',
    sessionId: 's',
    epoch: 'e1',
    head: 10,
    resume: 'fresh',
    heartbeatMs: 15_000,
    limits: { frameMaxBytes: 65_536, textMaxBytes: 32_768, inFlightMaxCount: 256 },
    ...over,
  }) as ServerFrame;

export const event = (seq: number, over: Partial<EventElement> = {}): EventElement =>
  ({
    seq,
    type: 'message.sent',
    v: 1,
    at: 1,
    channelId: channelA,
    channelSeq: seq,
    commandId: `c${seq}`,
    hash: 'h',
    actor: 'bob',
    data: { text: 'x' },
    ...over,
  }) as EventElement;

export const sentIds = (effects: readonly SessionEffect[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === 'send' && effect.frame.t === 'cmd' ? [effect.frame.id] : []));
export const kinds = (effects: readonly SessionEffect[]): readonly string[] =>
  effects.map(({ kind }) => kind);
export const find = <K extends SessionEffect['kind']>(effects: readonly SessionEffect[], kind: K) =>
  effects.find((effect): effect is Extract<SessionEffect, { kind: K }> => effect.kind === kind);

export const live = (h: Harness): void => {
  h.give({ kind: 'start' });
  h.give({ kind: 'opened' });
  const effects = h.frame(welcome());
  const snapshot = find(effects, 'snapshot');
  if (snapshot) h.give({ kind: 'snapshot_done', snapshotId: snapshot.snapshotId });
  expect(h.core.state().kind).toBe('live');
};
