import { expect, it } from 'vitest';
import { object } from '../src/words/particles.js';

it.each(['사람을', '나무를', '서울을', '3을', '4를', 'Kim을', 'Lee를'])('makes %s', (expected) => {
  expect(object(expected.slice(0, -1))).toBe(expected);
});
