import type { Violation } from '@chat/testkit/checking/checker';
import { describe, expect, it } from 'vitest';
import type { HistoryLine } from './history-line.ts';
import { decide } from './judge.ts';
import { createStatistics } from './statistics.ts';

type Fields = Partial<HistoryLine> & Pick<HistoryLine, 'op' | 'type'>;

/** Writes a history by hand: `at` in ms. */
const script = () => {
  const statistics = createStatistics();
  const at = (ms: number, fields: Fields): void =>
    statistics.take({ run: 'r', seed: 1, monoNs: ms * 1e6, client: 'a', conn: 1, team: 't', ...fields });
  let id = 0;
  const send = (fromMs: number, toMs: number | undefined, client = 'a'): void => {
    const msgId = `m${(id += 1)}`;
    at(fromMs, { op: 'send', type: 'invoke', msgId, client });
    if (toMs !== undefined) at(toMs, { op: 'send', type: 'ok', msgId, client });
  };
  const fault = (fromMs: number, toMs: number, proofs: readonly string[]): void => {
    const line = { client: 'writer-1', op: 'fault', detail: 'kill -9' } as const;
    at(fromMs, { ...line, type: 'invoke' });
    for (const text of proofs) at(fromMs, { ...line, type: 'info', text });
    at(toMs, { ...line, type: 'ok' });
  };
  return { send, fault, finish: statistics.finish };
};

const meta = { problems: [], allows: [] } as const;
const lost: Violation = { name: 'PERSISTED_LOST', where: 'somewhere' };

/** Sixty messages, then a proven fault from 1000 to 1500 ms, live again 300 ms later. */
const sound = (over: { readonly before?: number; readonly proofs?: readonly string[] } = {}) => {
  const { send, fault, finish } = script();
  for (let i = 0; i < (over.before ?? 60); i += 1) send(i * 10, i * 10 + 5);
  fault(1_000, 1_500, over.proofs ?? ['pid 4711 is gone']);
  send(1_600, 1_800);
  return finish();
};

describe('a verdict', () => {
  it('is a pass for a sound run with a proven fault', () => {
    expect(decide(meta, [], sound())).toMatchObject({ kind: 'pass', reasons: [] });
  });

  it('is a failure for a violation, also when the fault is not proven', () => {
    expect(decide(meta, [lost], sound()).kind).toBe('fail');
    expect(decide(meta, [lost], sound({ proofs: [] })).kind).toBe('fail');
  });

  it('is unknown without a proof, without a fault, and with too little traffic before it', () => {
    expect(decide(meta, [], sound({ proofs: [] })).kind).toBe('unknown');
    expect(decide(meta, [], sound({ before: 10 })).kind).toBe('unknown');
    const { send, finish } = script();
    for (let i = 0; i < 100; i += 1) send(i * 10, i * 10 + 5);
    expect(decide(meta, [], finish())).toMatchObject({ kind: 'unknown', reasons: ['no fault took place'] });
  });

  it('is a failure when a wait of the run ran out', () => {
    expect(decide({ ...meta, problems: ['it did not come back'] }, [], sound()).kind).toBe('fail');
  });

  it('lists what the fault causes by design, and fails for nothing else', () => {
    const allowing = { ...meta, allows: ['ACCEPTED_WITHOUT_OUTCOME'] as const };
    const expected: Violation = { name: 'ACCEPTED_WITHOUT_OUTCOME', where: 'm1' };
    expect(decide(allowing, [expected], sound())).toMatchObject({ kind: 'pass', allowed: [expected] });
    expect(decide(allowing, [expected, lost], sound()).kind).toBe('fail');
    expect(decide(meta, [expected], sound()).kind).toBe('fail');
  });

  it('is a failure when a client that wrote is never heard again, or only after 30 s', () => {
    const late = (toMs: number | undefined) => {
      const { send, fault, finish } = script();
      for (let i = 0; i < 60; i += 1) send(i * 10, i * 10 + 5);
      fault(1_000, 1_500, ['gone']);
      send(1_600, toMs);
      return decide(meta, [], finish());
    };
    expect(late(undefined).kind).toBe('fail');
    expect(late(32_000).kind).toBe('fail');
    expect(late(31_000).kind).toBe('pass');
  });
});

describe('the statistics', () => {
  it('measure recovery from the heal to the last client that had a message persisted', () => {
    const { send, fault, finish } = script();
    send(0, 10, 'a');
    send(0, 20, 'b');
    fault(1_000, 1_500, ['gone']);
    send(1_100, 1_700, 'a');
    send(1_600, 2_400, 'b');
    expect(finish().faults).toMatchObject([{ recoveryMs: 900, blastShare: 0.5 }]);
  });

  it('do not count into the recovery from one fault what the next one took', () => {
    const { send, fault, finish } = script();
    send(0, 10);
    fault(1_000, 1_500, ['gone']);
    fault(2_000, 8_000, ['gone again']);
    send(1_600, 8_400);
    expect(finish().faults).toMatchObject([{ recoveryMs: 900 }, { recoveryMs: 400 }]);
  });

  it('count into the blast radius only who had nothing persisted while the fault lasted', () => {
    const { send, fault, finish } = script();
    for (const client of ['a', 'b', 'c', 'd']) send(0, 10, client);
    fault(1_000, 3_000, ['gone']);
    for (const client of ['a', 'b', 'c']) send(1_100, 2_000, client);
    send(1_100, 4_000, 'd');
    expect(finish().faults).toMatchObject([{ blastShare: 0.25 }]);
  });

  it('give throughput and latency of each second', () => {
    const { send, finish } = script();
    send(100, 110);
    send(200, 230);
    send(1_500, 1_600);
    expect(finish().seconds).toMatchObject([
      { ackCount: 2, p99Ms: 30 },
      { ackCount: 1, p50Ms: 100 },
    ]);
  });
});
