import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { filterSource } from '../../src/domain/source.js';
import { PullSource } from '../../src/pubsub/live/pull-source.js';

/** A source of numbers that are all available at once. */
class Numbers extends PullSource<number> {
  readonly #numbers: number[] = [];
  ends = 0;

  push(...numbers: number[]): void {
    this.#numbers.push(...numbers);
    this.wake();
  }

  override peek(): number | undefined {
    return this.#numbers[0];
  }

  override skip(): void {
    this.#numbers.shift();
  }

  override get isIdle(): boolean {
    return this.#numbers.length === 0;
  }

  protected take(): undefined {}

  protected onEnd(): void {
    this.ends += 1;
  }
}

describe('a filtered source', () => {
  const open = (...numbers: number[]) => {
    const source = new Numbers();
    source.push(...numbers);
    return { source, even: filterSource(source, (n): n is number => n % 2 === 0) };
  };

  it('returns matching values and skips the rest', async () => {
    const { even } = open(1, 2, 3, 4);
    expect([await even.next(), await even.next()].map(({ value }) => value)).toEqual([2, 4]);
  });

  it('peeks at matching values, and is idle after the rest', () => {
    const { even } = open(1, 2, 3);
    expect([even.peek(), even.peek()]).toEqual([2, 2]);
    even.skip(2);
    expect(even.isIdle).toBe(false);
    expect(even.peek()).toBeUndefined();
    expect(even.isIdle).toBe(true);
  });

  it('continues to wait after a value that does not match', async () => {
    const { source, even } = open();
    let isNext = false;
    const next = even.next().finally(() => {
      isNext = true;
    });
    source.push(1);
    await turn();
    expect(isNext).toBe(false);
    source.push(2);
    expect(await next).toEqual({ done: false, value: 2 });
  });

  it('wakes its listener', () => {
    const { source, even } = open();
    let wakes = 0;
    even.listen({ wake: () => wakes++ });
    source.push(2);
    expect(wakes).toBe(1);
  });

  it('frees its source at once when it is ended while next() waits', async () => {
    const { source, even } = open(1);
    const next = even.next();
    await turn();
    const returned = even.return();
    expect(source.ends).toBe(1);
    expect(await returned).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
  });
});
