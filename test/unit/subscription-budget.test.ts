import { parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { documentWeight } from '../../src/server/graphql/limits/document-weight.js';
import { SubscriptionBudget } from '../../src/server/graphql/limits/subscription-budget.js';

const one = parse('subscription { inboxEvents { roomId } }');
const other = parse('subscription { inboxEvents { kind roomId } }');
const refusal = expect.objectContaining({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
const roomForOne = documentWeight(one) + 100;

describe('the budget of subscriptions', () => {
  it('counts a document once per user, until the last subscription with it ends', () => {
    const budget = new SubscriptionBudget(roomForOne);
    const giveBack = [1, 2, 3].map(() => budget.take(4, one, {}));
    for (const give of giveBack.slice(1)) give();
    expect(() => budget.take(4, other, {})).toThrow(refusal);
    giveBack[0]?.();
    expect(() => budget.take(4, one, {})).not.toThrow();
  });

  it('counts the variables of each subscription, and frees them only once', () => {
    const budget = new SubscriptionBudget(documentWeight(one) + 1_000);
    const variables = { a: 'x'.repeat(50) };
    const first = budget.take(4, one, variables);
    budget.take(4, one, variables);
    expect(() => budget.take(4, one, variables)).toThrow(refusal);
    first();
    first();
    budget.take(4, one, variables);
    expect(() => budget.take(4, one, variables)).toThrow(refusal);
  });

  it('is separate for each user', () => {
    const budget = new SubscriptionBudget(roomForOne);
    budget.take(4, one, {});
    expect(() => budget.take(5, other, {})).toThrow(refusal);
    expect(() => budget.take(5, one, {})).not.toThrow();
  });
});
