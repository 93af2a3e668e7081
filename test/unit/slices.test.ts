import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Slices } from '../../src/domain/slices.js';

describe('slices of long work', () => {
  it('end a turn of the event loop that has worked for long, and start anew in the next', async () => {
    const slices = new Slices();
    expect(slices.isOver).toBe(false);
    spin(5);
    expect(slices.isOver).toBe(true);
    await turn();
    expect(slices.isOver).toBe(false);
  });

  it('have a turn each, and the users take turns', async () => {
    const slices = new Slices();
    const turns: string[][] = [];
    const work = async (user: string, name: string) => {
      await slices.next(user);
      turns.at(-1)?.push(name);
    };
    const all = Promise.all([work('a', 'a1'), work('a', 'a2'), work('a', 'a3'), work('b', 'b1'), work('c', 'c1')]);
    let isDone = false;
    void all.then(() => {
      isDone = true;
    });
    while (!isDone) {
      turns.push([]);
      await turn();
    }
    expect(turns.filter((names) => names.length > 0)).toEqual([['a1'], ['b1'], ['c1'], ['a2'], ['a3']]);
  });

  it('run short functions at once, and together in later turns if there are many', async () => {
    const slices = new Slices();
    expect(slices.run('a', () => 'at once')).toBe('at once');
    const turns: string[][] = [];
    const run = (user: string, name: string) =>
      Promise.resolve(
        slices.run(user, () => {
          spin(0.6);
          turns.at(-1)?.push(name);
        }),
      );
    turns.push([]);
    const names = Array.from({ length: 20 }, (_, index) => `a${index}`);
    const all = Promise.all([...names.map((name) => run('a', name)), run('b', 'b0')]);
    let isDone = false;
    void all.then(() => {
      isDone = true;
    });
    while (!isDone) {
      await turn();
      turns.push([]);
    }
    expect(turns.flat()).toHaveLength(21);
    // 12 ms of work, 2 in each slice; b does not wait for all of a.
    expect(turns.filter((together) => together.length > 0).length).toBeGreaterThanOrEqual(3);
    expect(turns.flat().indexOf('b0')).toBeLessThan(8);
    expect(turns.flat().filter((name) => name !== 'b0')).toEqual(names);
  });

  it('reject with what a later function throws', async () => {
    const slices = new Slices();
    expect(slices.isOver).toBe(false);
    spin(5);
    const failing = slices.run('a', () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
  });

  it('do not share a turn with work that has begun in it', async () => {
    const slices = new Slices();
    expect(slices.isOver).toBe(false);
    let isLater = false;
    const next = slices.next(4).then(() => expect(isLater).toBe(true));
    await Promise.resolve();
    isLater = true;
    await next;
  });
});

function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
