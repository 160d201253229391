/** What a history tells beside right and wrong: throughput, latency, recovery and blast radius. Fed line by line. */

import type { HistoryLine } from './history-line.ts';

export type FaultStatistics = {
  readonly target: string;
  readonly action: string;
  readonly atMs: number;
  readonly healedAtMs: number;
  readonly proofs: readonly string[];
  /** From healed until every client that wrote had a message persisted again, less what later faults took; undefined: one never had. */
  readonly recoveryMs: number | undefined;
  /** Share of the writing clients that had nothing persisted while it lasted (at least the first second). */
  readonly blastShare: number;
};

export type Second = { readonly ackCount: number; readonly p50Ms: number; readonly p99Ms: number };

export type Statistics = {
  readonly ackCount: number;
  readonly deliveryCount: number;
  readonly sendCount: number;
  readonly infoCount: number;
  readonly failCount: number;
  readonly clientCount: number;
  /** Persisted before the first fault began. */
  readonly ackCountBefore: number;
  readonly faults: readonly FaultStatistics[];
  readonly seconds: readonly Second[];
  readonly durationMs: number;
};

type OpenFault = {
  readonly target: string;
  readonly action: string;
  readonly atMs: number;
  proofs: string[];
};
const BLAST_MIN_MS = 1_000;

export const percentile = (ascending: readonly number[], share: number): number =>
  ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? 0;

export const createStatistics = () => {
  const invokedAtMs = new Map<string, { readonly client: string; readonly atMs: number }>();
  const acks = new Map<string, number[]>();
  const lastInvokeMs = new Map<string, number>();
  const latencies: number[][] = [];
  const open = new Map<string, OpenFault>();
  const faults: (OpenFault & { healedAtMs: number })[] = [];
  const clients = new Set<string>();
  let firstFaultMs: number | undefined;
  const counts = { ack: 0, delivery: 0, send: 0, info: 0, fail: 0, before: 0 };
  let durationMs = 0;

  const takeSend = (line: HistoryLine, atMs: number): void => {
    const id = line.msgId ?? '';
    if (line.type === 'invoke') {
      counts.send += 1;
      lastInvokeMs.set(line.client, atMs);
      invokedAtMs.set(id, { client: line.client, atMs });
      return;
    }
    if (line.type === 'info') return void (counts.info += 1);
    const invoked = invokedAtMs.get(id);
    invokedAtMs.delete(id);
    // A final refusal is an outcome as well; only one from the gateway (no seq) proves nothing about the path.
    if (line.type === 'fail') counts.fail += 1;
    if (line.type !== 'ok') return;
    counts.ack += 1;
    if (firstFaultMs === undefined) counts.before += 1;
    const times = acks.get(line.client) ?? [];
    acks.set(line.client, times);
    times.push(atMs);
    const second = Math.floor(atMs / 1000);
    (latencies[second] ??= []).push(atMs - (invoked?.atMs ?? atMs));
  };
  const takeFault = (line: HistoryLine, atMs: number): void => {
    const key = `${line.client}/${line.detail}`;
    if (line.type === 'invoke') {
      firstFaultMs ??= atMs;
      open.set(key, { target: line.client, action: line.detail ?? '', atMs, proofs: [] });
      return;
    }
    const fault = open.get(key);
    if (!fault) return;
    if (line.type === 'info') fault.proofs.push(line.text ?? '');
    else {
      open.delete(key);
      faults.push({ ...fault, healedAtMs: atMs });
    }
  };
  const take = (line: HistoryLine): void => {
    const atMs = line.monoNs / 1e6;
    durationMs = Math.max(durationMs, atMs);
    if (line.op === 'fault') return takeFault(line, atMs);
    if (line.team) clients.add(line.client);
    if (line.op === 'deliver') counts.delivery += 1;
    if (line.op === 'send') takeSend(line, atMs);
  };

  const firstAckAfter = (client: string, atMs: number): number | undefined =>
    acks.get(client)?.find((ack) => ack >= atMs);
  /** Of [from, to], what no other fault took: a client can not be blamed for the next one. */
  const calmMs = (fromMs: number, toMs: number, own: OpenFault): number => {
    let calm = toMs - fromMs;
    let coveredToMs = fromMs; // faults are in the order of their healing; those at once are counted once
    for (const other of [...faults].sort((a, b) => a.atMs - b.atMs)) {
      if (other.atMs === own.atMs && other.target === own.target) continue;
      const [begin, end] = [Math.max(other.atMs, coveredToMs), Math.min(other.healedAtMs, toMs)];
      if (end <= begin) continue;
      calm -= end - begin;
      coveredToMs = end;
    }
    return calm;
  };
  const judge = (fault: OpenFault & { healedAtMs: number }): FaultStatistics => {
    const until = Math.max(fault.healedAtMs, fault.atMs + BLAST_MIN_MS);
    const writers = [...lastInvokeMs.keys()];
    const hit = writers.filter((client) => {
      const next = firstAckAfter(client, fault.atMs);
      return next === undefined || next > until;
    });
    let recoveryMs: number | undefined = 0;
    for (const client of writers) {
      const next = firstAckAfter(client, fault.healedAtMs);
      // Had nothing to say any more; what it said before and is without outcome the checker names.
      if (next === undefined && (lastInvokeMs.get(client) ?? 0) < fault.healedAtMs) continue;
      if (next === undefined) recoveryMs = undefined;
      else if (recoveryMs !== undefined) {
        recoveryMs = Math.max(recoveryMs, calmMs(fault.healedAtMs, next, fault));
      }
    }
    return { ...fault, recoveryMs, blastShare: writers.length === 0 ? 0 : hit.length / writers.length };
  };

  return {
    take,
    finish: (): Statistics => ({
      ackCount: counts.ack,
      deliveryCount: counts.delivery,
      sendCount: counts.send,
      infoCount: counts.info,
      failCount: counts.fail,
      clientCount: clients.size,
      ackCountBefore: counts.before,
      faults: faults.map(judge),
      durationMs,
      seconds: Array.from({ length: Math.ceil(durationMs / 1000) }, (_, i) => {
        const ascending = [...(latencies[i] ?? [])].sort((a, b) => a - b);
        return {
          ackCount: ascending.length,
          p50Ms: percentile(ascending, 0.5),
          p99Ms: percentile(ascending, 0.99),
        };
      }),
    }),
  };
};
