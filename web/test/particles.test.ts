import { expect, it } from 'vitest';
import { object, subject, toward } from '../src/words/particles.js';

it.each([
  ['사람', '사람을', '사람이', '사람으로'],
  ['나무', '나무를', '나무가', '나무로'],
  ['서울', '서울을', '서울이', '서울로'],
  ['3', '3을', '3이', '3으로'],
  ['4', '4를', '4가', '4로'],
  ['Kim', 'Kim을', 'Kim이', 'Kim으로'],
  ['Lee', 'Lee를', 'Lee가', 'Lee로'],
])('follows %s with the right particle', (text, ...expected) => {
  expect([object(text), subject(text), toward(text)]).toEqual(expected);
});
