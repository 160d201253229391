/**
 * Loaded into an app with `--import`: shifts its wall clock (`Date`, and nothing else: timers and `performance` are
 * monotone in production too) by what a file says, and writes beside it what the process now believes. Without the
 * file's name in the environment it does nothing. The one module that works at import: that is what it is for.
 */

import { readFileSync, writeFileSync } from 'node:fs';

const POLL_MS = 50;

const install = (file: string, instance: string): void => {
  const RealDate = Date;
  let offsetMs = 0;
  const now = (): number => RealDate.now() + offsetMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: unknown[], newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object,
    apply: () => new RealDate(now()).toString(),
    get: (target, key) => (key === 'now' ? now : (Reflect.get(target, key, target) as unknown)),
  });
  const poll = (): void => {
    try {
      const wanted = (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>)[instance] ?? 0;
      if (wanted === offsetMs) return;
      offsetMs = wanted;
      writeFileSync(`${file}.${instance}`, JSON.stringify({ nowMs: Date.now(), realNowMs: RealDate.now() }));
    } catch {
      // not there, or half written: the next poll reads it
    }
  };
  poll();
  setInterval(poll, POLL_MS).unref();
};

const { CHAOS_CLOCK_FILE, INSTANCE_ID } = process.env;
if (CHAOS_CLOCK_FILE && INSTANCE_ID) install(CHAOS_CLOCK_FILE, INSTANCE_ID);
