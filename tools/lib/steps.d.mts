export type Steps = {
  readonly say: (line: string) => void;
  /** Runs the work and prints its title and duration; `tell` shows what a long one is at. */
  readonly step: <T>(title: string, work: (tell: (note: string) => void) => Promise<T>) => Promise<T>;
};
export declare const createSteps: (out?: NodeJS.WriteStream) => Steps;
