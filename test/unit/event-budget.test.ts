import { expect, it } from 'vitest';
import { EventBudget } from '../../src/server/graphql/limits/event-budget.js';

const select = (key: string | null, price: number) => ({ key, price });

it('counts each selection once for all subscriptions that have it, and frees it with the last of them', () => {
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

it('counts every selection that cannot be compared, and counts each user separately', () => {
  const budget = new EventBudget();
  budget.take(4, select(null, 600), 1_000);
  expect(() => budget.take(4, select(null, 600), 1_000)).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));
  budget.take(5, select(null, 600), 1_000);
});

it('allows every user one selection, whatever its price', () => {
  const budget = new EventBudget();
  const giveBack = budget.take(4, select('a', 5_000), 1_000);
  expect(() => budget.take(4, select('b', 1), 1_000)).toThrow();
  giveBack();
  budget.take(4, select('b', 1), 1_000);
});
