import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Deque } from './deque.ts';

type Op = readonly ['push' | 'unshift', number] | readonly ['shift' | 'pop' | 'clear'];
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.tuple(fc.constantFrom('push' as const, 'unshift' as const), fc.integer()),
  fc.tuple(fc.constantFrom('shift' as const, 'pop' as const)),
  fc.tuple(fc.constantFrom('push' as const), fc.integer()),
  fc.tuple(fc.constant('clear' as const)),
);

it('behaves as an array does under any sequence of operations', () => {
  fc.assert(
    fc.property(fc.constantFrom(undefined, 4), fc.array(op, { maxLength: 200 }), (initialCount, ops) => {
      const deque = new Deque<number>(initialCount);
      let model: number[] = [];
      for (const [name, value] of ops) {
        if (name === 'push') {
          deque.push(value);
          model.push(value);
        } else if (name === 'unshift') {
          deque.unshift(value);
          model.unshift(value);
        } else if (name === 'clear') {
          deque.clear();
          model = [];
        } else expect(deque[name]()).toBe(model[name]());
        expect(deque.size).toBe(model.length);
        expect(deque.peek()).toBe(model[0]);
        expect(deque.last()).toBe(model.at(-1));
      }
      expect([...deque]).toEqual(model);
      expect(deque.at(model.length)).toBeUndefined();
      expect(deque.at(-1)).toBeUndefined();
    }),
  );
});
