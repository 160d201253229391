/** The life of a load client's process: told its plan over the process channel, connects, runs once, answers, ends. */

export type ProcessRun<Phase, Result> = {
  connect(): Promise<void>;
  run(onPhase: (phase: Phase) => void): Promise<Result>;
  close(): void;
};

type Told<Plan> = { readonly kind: 'plan'; readonly plan: Plan } | { readonly kind: string };

/** Takes this process's channel; call it once, from the process's entry. */
export const serveLoadProcess = <Plan, Phase, Result>(
  createRun: (plan: Plan) => ProcessRun<Phase, Result>,
): void => {
  const say = (message: unknown): void => void process.send?.(message);
  let run: ProcessRun<Phase, Result> | undefined;

  const handle = async (message: Told<Plan>): Promise<void> => {
    if ('plan' in message) {
      run = createRun(message.plan);
      await run.connect();
      say({ kind: 'connected' });
      return;
    }
    const result = await run!.run((phase) => say({ kind: phase }));
    run!.close();
    say({ kind: 'result', result });
    process.disconnect();
  };

  process.on('message', (message) => {
    handle(message as Told<Plan>).catch((error: unknown) => {
      say({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
      process.exit(1);
    });
  });
  process.on('disconnect', () => process.exit());
};
