/** Typed listeners. A listener that throws disturbs neither the client nor the other listeners. */

export type Emitter<Events> = {
  readonly on: <K extends keyof Events>(name: K, listener: (value: Events[K]) => void) => () => void;
  readonly emit: <K extends keyof Events>(name: K, value: Events[K]) => void;
};

export const createEmitter = <Events>(onFault: (error: unknown) => void): Emitter<Events> => {
  const listeners = new Map<keyof Events, Set<(value: never) => void>>();
  return {
    on: (name, listener) => {
      const set = listeners.get(name) ?? new Set();
      listeners.set(name, set);
      set.add(listener);
      return () => void set.delete(listener);
    },
    emit: (name, value) => {
      for (const listener of listeners.get(name) ?? []) {
        try {
          (listener as (value: unknown) => void)(value);
        } catch (error) {
          onFault(error);
        }
      }
    },
  };
};
