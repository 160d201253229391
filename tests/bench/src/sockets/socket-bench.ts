/** What a bench of sockets is given and answers. */

/** Handshakes under way: a storm, but within the backlog of a listener (512 in uWS). */
export const HANDSHAKES_AT_ONCE_COUNT = 256;

export type SocketBenchOptions = { readonly socketCount: number; readonly drainGraceMs: number };

export type SocketBenchResult = {
  readonly figures: Readonly<Record<string, number>>;
  readonly notes?: readonly string[];
  readonly aims: string;
  readonly faults: readonly string[];
};

export type SocketBench = (options: SocketBenchOptions) => Promise<SocketBenchResult>;
