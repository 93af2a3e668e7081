import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { PullSource } from '../../src/pubsub/live/pull-source.js';
import { waitFor } from '../support/wait-for.js';

const end = { done: true, value: undefined };

describe('a source that is pulled', () => {
  it('returns the current value, then waits for a change', async () => {
    const { iterator, state, told } = make();
    state.value = 'first';
    told(iterator.next());
    await waitFor(() => told.all.length === 1, { what: 'the first' });
    told(iterator.next());
    await turn();
    expect(told.all).toEqual([{ done: false, value: 'first' }]);

    state.value = 'second';
    iterator.wake();

    await waitFor(() => told.all.length === 2, { what: 'the second' });
    expect(told.all.at(-1)).toEqual({ done: false, value: 'second' });
  });

  it('wakes its listener with every change until it is ended', async () => {
    const { iterator } = make();
    let wakes = 0;
    iterator.listen({ wake: () => wakes++ });
    iterator.wake();
    iterator.wake();
    expect(wakes).toBe(2);
    await iterator.return();
    iterator.wake();
    expect(wakes).toBe(2);
  });

  it('returns only the newest of several changes to a late reader', async () => {
    const { iterator, state, told } = make();
    for (const value of ['first', 'second', 'third']) {
      state.value = value;
      iterator.wake();
    }
    told(iterator.next(), iterator.next());
    await turn();

    expect(told.all).toEqual([{ done: false, value: 'third' }]);
  });

  it('does not miss a change while take() is under way', async () => {
    const looks: (() => void)[] = [];
    let value: string | undefined;
    const { iterator, told } = make({
      take: async () => {
        const found = value;
        await new Promise<void>((resolve) => looks.push(resolve));
        return found;
      },
    });
    told(iterator.next());
    value = 'changed meanwhile';
    iterator.wake();
    looks.shift()?.();

    await waitFor(() => looks.length === 1, { what: 'a second look' });
    looks.shift()?.();
    await waitFor(() => told.all.length === 1, { what: 'what has changed' });
    expect(told.all).toEqual([{ done: false, value: 'changed meanwhile' }]);
  });

  it('frees everything at once when it is ended while next() waits', async () => {
    const { iterator, ends, told } = make();
    told(iterator.next());
    await turn();

    const returned = iterator.return();
    expect(ends.count).toBe(1);
    expect(await returned).toEqual(end);
    await turn();
    expect(told.all).toEqual([end]);
  });

  it('frees everything at once when it is ended while it is held back', async () => {
    const { iterator, ends, told } = make({ isHeldBack: () => true });
    told(iterator.next());
    await turn();
    const timers = countTimers();

    await iterator.return();
    await turn();

    expect(ends.count).toBe(1);
    expect(told.all).toEqual([end]);
    expect(countTimers()).toBe(timers - 1);
  });

  it('drops the result of a take() that was under way when it was ended', async () => {
    let finish: (value: string) => void = () => undefined;
    const { iterator, ends, told } = make({
      take: () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    });
    told(iterator.next());
    await iterator.return();
    finish('too late');
    await turn();

    expect(told.all).toEqual([end]);
    expect(ends.count).toBe(1);
  });

  it('drops the failure of a take() that was under way when it was ended', async () => {
    let fail: (error: Error) => void = () => undefined;
    const { iterator, told } = make({
      take: () =>
        new Promise((_resolve, reject) => {
          fail = reject;
        }),
    });
    told(iterator.next());
    await iterator.return();
    fail(new Error('too late'));
    await turn();

    expect(told.all).toEqual([end]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no more');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no more'))],
  ])('ends, and is freed once, when take() %s', async (_how, take) => {
    const { iterator, ends } = make({ take });

    await expect(iterator.next()).rejects.toThrow('no more');
    expect(ends.count).toBe(1);
    expect(await iterator.next()).toEqual(end);
    expect(await iterator.return()).toEqual(end);
    iterator.wake();
    expect(ends.count).toBe(1);
  });

  it('is freed once however often it is ended', async () => {
    const { iterator, ends } = make();
    await Promise.all([iterator.return(), iterator.return()]);
    await iterator.return();

    expect(ends.count).toBe(1);
    expect(await iterator.next()).toEqual(end);
  });

  it('takes and returns nothing while it is held back, and returns the newest value afterwards', async () => {
    let isHeldBack = true;
    let looks = 0;
    const { iterator, state, told } = make({ isHeldBack: () => isHeldBack, onLook: () => looks++ });
    told(iterator.next());
    for (const value of ['first', 'second', 'third']) {
      state.value = value;
      iterator.wake();
      await turn();
    }
    // Longer than the pause between two checks: it was checked again and held back again.
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect([told.all, looks]).toEqual([[], 0]);

    isHeldBack = false;

    await waitFor(() => told.all.length === 1, { what: 'the newest' });
    expect(told.all).toEqual([{ done: false, value: 'third' }]);
  });
});

interface State {
  value: string | undefined;
}

interface Looks {
  readonly take: () => string | undefined | Promise<string | undefined>;
  readonly isHeldBack: () => boolean;
  readonly onLook: () => void;
}

class TestSource extends PullSource<string> {
  readonly #looks: Looks;
  readonly ends = { count: 0 };

  constructor(looks: Looks) {
    super();
    this.#looks = looks;
  }

  protected take(): string | undefined | Promise<string | undefined> {
    this.#looks.onLook();
    return this.#looks.take();
  }

  protected override get isHeldBack(): boolean {
    return this.#looks.isHeldBack();
  }

  protected onEnd(): void {
    this.ends.count += 1;
  }
}

/** A source whose take() removes the state: a value is new only once. */
function make(looks: Partial<Looks> = {}) {
  const state: State = { value: undefined };
  const take = () => {
    const { value } = state;
    state.value = undefined;
    return value;
  };
  const iterator = new TestSource({ take, isHeldBack: () => false, onLook: () => undefined, ...looks });
  const { ends } = iterator;
  const all: IteratorResult<string, undefined>[] = [];
  const collect = (...results: Promise<IteratorResult<string, undefined>>[]) => {
    for (const result of results) void result.then((one) => all.push(one));
  };
  return { iterator, state, ends, told: Object.assign(collect, { all }) };
}

const countTimers = (): number => process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
