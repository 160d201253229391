/**
 * The steps between a command and "done", named so that a test can end the process exactly there. Production
 * passes `noFaultPoints`; a process with CHAT_ENV=test and `FAULT_CRASH_AT=commit:3` kills itself at the third
 * passing of `commit`.
 */

export const faultSteps = ['decide', 'commit', 'append', 'reply', 'purge'] as const;
export type FaultStep = (typeof faultSteps)[number];
export type FaultPoints = (step: FaultStep) => void;

export const noFaultPoints: FaultPoints = () => {};

/** `spec` is `<step>:<nth>`. SIGKILL leaves no chance to tidy up: what a power cut of this process would do. */
export const crashAt = (spec: string): FaultPoints => {
  const [step, nth] = spec.split(':');
  if (!faultSteps.some((known) => known === step) || !(Number(nth) >= 1)) {
    throw new Error(`FAULT_CRASH_AT=${spec}: must be <step>:<nth>, step one of ${faultSteps.join(', ')}`);
  }
  let left = Number(nth);
  return (passed) => {
    if (passed === step && (left -= 1) === 0) process.kill(process.pid, 'SIGKILL');
  };
};
