import { expect, it } from 'vitest';
import { EventBudget } from '../../src/server/graphql/limits/event-budget.js';

const select = (key: string | null, price: number) => ({ key, price });

it('counts each selection once, however many subscriptions have it, and gives back what nobody has any more', () => {
  const budget = new EventBudget();
  const shared = Array.from({ length: 500 }, () => budget.take(4, select('a', 600), 1_000));
  const other = budget.take(4, select('b', 400), 1_000);
  expect(() => budget.take(4, select('c', 1), 1_000)).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));

  other();
  other();
  budget.take(4, select('c', 400), 1_000);
  expect(() => budget.take(4, select('b', 400), 1_000)).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));
  for (const giveBack of shared) giveBack();
  budget.take(4, select('b', 600), 1_000);
});

it('counts what cannot be compared each by itself, and users apart', () => {
  const budget = new EventBudget();
  budget.take(4, select(null, 600), 1_000);
  expect(() => budget.take(4, select(null, 600), 1_000)).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));
  budget.take(5, select(null, 600), 1_000);
});

it('lets everybody have one, whatever it may touch', () => {
  const budget = new EventBudget();
  const giveBack = budget.take(4, select('a', 5_000), 1_000);
  expect(() => budget.take(4, select('b', 1), 1_000)).toThrow();
  giveBack();
  budget.take(4, select('b', 1), 1_000);
});
