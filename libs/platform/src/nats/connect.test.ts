import { expect, it } from 'vitest';
import { NATS_MIN_VERSION, isVersionAtLeast } from './connect.ts';

it.each([
  ['2.14.0', true],
  ['2.15.2', true],
  ['2.14.0-RC.1', true],
  ['3.0.0', true],
  ['2.100.0', true],
  ['2.13.9', false],
  ['2.9.10', false],
  ['1.99.99', false],
  ['', false],
  ['an unknown version', false],
])('nats-server %s is new enough: %s', (found, enough) => {
  expect(isVersionAtLeast(found, NATS_MIN_VERSION)).toBe(enough);
});
