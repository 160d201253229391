/** What is measured, and what it is held against. */

export type Scenario = {
  readonly name: string;
  readonly channelCount: number;
  /** Each member is a user with one socket. */
  readonly membersPerChannelCount: number;
  readonly inFlightCount: number;
  readonly senders: 'together' | 'apart';
  readonly textBytes: number;
  /** What the ratio to raw compares: messages, or deliveries where one message fans out to very many. */
  readonly unit: 'messages' | 'deliveries';
  /** Ratio to raw uWS in the same run that we aim at; undefined: only reported. */
  readonly aimRatio: number | undefined;
  /** What a pipeline without validation, limits and read model reached on two idle cores, per second, in `unit`. */
  readonly barePerSecond: number | undefined;
};

const TEXT_BYTES = 200;
const small = {
  channelCount: 100,
  membersPerChannelCount: 10,
  textBytes: TEXT_BYTES,
  unit: 'messages',
} as const;

export const scenarios: readonly Scenario[] = [
  {
    ...small,
    name: '100x10@64',
    inFlightCount: 64,
    senders: 'together',
    aimRatio: 0.1,
    barePerSecond: 11_400,
  },
  {
    ...small,
    name: '100x10@512',
    inFlightCount: 512,
    senders: 'together',
    aimRatio: 0.13,
    barePerSecond: 25_500,
  },
  {
    name: '1x1000@128',
    channelCount: 1,
    membersPerChannelCount: 1000,
    inFlightCount: 128,
    senders: 'together',
    textBytes: TEXT_BYTES,
    unit: 'deliveries',
    aimRatio: 0.5,
    barePerSecond: 2_700_000,
  },
  {
    ...small,
    name: '100x10@64-apart',
    inFlightCount: 64,
    senders: 'apart',
    aimRatio: undefined,
    barePerSecond: undefined,
  },
];

export const scenarioNames = (): readonly string[] => scenarios.map(({ name }) => name);
