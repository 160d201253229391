import { silentLogger } from '@chat/platform/log';
import { describe, expect, it } from 'vitest';
import { createReadPosition } from './read-position.ts';

/** Longer than any test waits for what comes, and short for what never does. */
const LONG_MS = 20_000;
const SHORT_MS = 50;

/** A read model that has applied `seq` events, all of them of `epoch`. */
const modelAt = (seq: number, { epoch = 'e1', maxWaitMs = LONG_MS } = {}) => {
  const model = { seq, epoch, isAway: false, askedCount: 0 };
  const position = createReadPosition({
    readModel: {
      checkpoint: async () => {
        model.askedCount += 1;
        if (model.isAway) throw new Error('away');
        return { epoch: model.epoch, seq: model.seq, digest: '' };
      },
    },
    epochs: { of: async () => 'e1' },
    maxWaitMs,
    log: silentLogger(),
  });
  return { model, position };
};

describe('a read with minSeq', () => {
  it('goes on at once when the read model has it, and asks nothing when nothing is asked for', async () => {
    const { model, position } = modelAt(7);
    expect(await position.reach(0, {})).toBeUndefined();
    expect(model.askedCount).toBe(0);
    expect(await position.reach(0, { minSeq: 7, epoch: 'e1' })).toBeUndefined();
  });

  it('is refused with the number of missing events when they do not come in time', async () => {
    const { position } = modelAt(7, { maxWaitMs: SHORT_MS });
    expect(await position.reach(0, { minSeq: 10 })).toMatchObject({ code: 'READ_MODEL_BEHIND', lagCount: 3 });
  });

  it('goes on when they come in time', async () => {
    const { model, position } = modelAt(7);
    const reached = position.reach(0, { minSeq: 10 });
    model.seq = 10;
    expect(await reached).toBeUndefined();
  });

  it('tells the lag it last knew when the store goes away meanwhile', async () => {
    const { model, position } = modelAt(7, { maxWaitMs: SHORT_MS });
    const reached = position.reach(0, { minSeq: 10 });
    await Promise.resolve();
    model.isAway = true;
    expect(await reached).toMatchObject({ code: 'READ_MODEL_BEHIND', lagCount: 3 });
  });

  it('of another epoch is told which of the two is late', async () => {
    const late = modelAt(7, { epoch: 'e0' }).position;
    const refusal = await late.reach(0, { minSeq: 3, epoch: 'e1' });
    expect(refusal).toMatchObject({ code: 'READ_MODEL_BEHIND' });
    expect(refusal).not.toHaveProperty('lagCount');
    const early = modelAt(7).position;
    expect(await early.reach(0, { minSeq: 3, epoch: 'e0' })).toEqual({ code: 'EPOCH_CHANGED' });
  });

  it('asks again when the answer is of an older state than the checkpoint told of', async () => {
    const { position } = modelAt(10);
    const states = [8, 9, 12];
    const answered = await position.readAt(0, { minSeq: 10 }, async () => ({
      epoch: 'e1',
      asOf: states.shift()!,
    }));
    expect(answered).toEqual({ answer: { epoch: 'e1', asOf: 12 } });
    const short = modelAt(10, { maxWaitMs: SHORT_MS }).position;
    const older = await short.readAt(0, { minSeq: 10 }, async () => ({ epoch: 'e1', asOf: 8 }));
    expect(older).toMatchObject({ refusal: { code: 'READ_MODEL_BEHIND', lagCount: 2 } });
    const any = await position.readAt(0, {}, async () => ({ epoch: 'e1', asOf: 8 }));
    expect(any).toEqual({ answer: { epoch: 'e1', asOf: 8 } });
  });

  it('believes a refusal of the read model only when it is given twice', async () => {
    const { position } = modelAt(10);
    const answers = [{ kind: 'channel_not_found' }, { kind: 'found', epoch: 'e1', asOf: 10 }];
    expect(await position.readAt(0, { minSeq: 10 }, async () => answers.shift()!)).toMatchObject({
      answer: { kind: 'found' },
    });
    let askedCount = 0;
    const refused = await position.readAt(0, { minSeq: 10 }, async () => {
      askedCount += 1;
      return { kind: 'channel_not_found' };
    });
    expect([refused, askedCount]).toEqual([{ answer: { kind: 'channel_not_found' } }, 2]);
  });
});
