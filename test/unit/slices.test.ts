import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Slices } from '../../src/domain/slices.js';
import { spin } from '../support/spin.js';

describe('slices of long work', () => {
  it('end a turn of the event loop that has worked for long, and start anew in the next', async () => {
    const slices = new Slices();
    expect(slices.isOver).toBe(false);
    spin(5);
    expect(slices.isOver).toBe(true);
    await turn();
    expect(slices.isOver).toBe(false);
  });

  it.each([
    ['have a turn each if they are long', 12, [['a1'], ['b1'], ['c1'], ['a2'], ['a3']]],
    ['share a turn if they are short', 0, [['a1', 'b1', 'c1', 'a2', 'a3']]],
  ])('%s, and the users take turns', async (_what, ms, expected) => {
    const slices = new Slices();
    const turns: string[][] = [];
    const work = async (user: string, name: string) => {
      await slices.next(user);
      // What is resolved may continue in many steps.
      for (let step = 0; step < 20; step += 1) await undefined;
      spin(ms);
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
    expect(turns.filter((names) => names.length > 0)).toEqual(expected);
  });

  it('do not count the time in which another program has the processor', () => {
    const slices = new Slices();
    expect(slices.isOver).toBe(false);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    expect(slices.isOver).toBe(false);
    spin(10);
    expect(slices.isOver).toBe(true);
  });

  it('end a turn of the event loop that has enough to do, before it is done', async () => {
    const slices = new Slices();
    slices.plan(1.5);
    expect(slices.isOver).toBe(false);
    slices.plan(1.5);
    expect(slices.isOver).toBe(true);
    await turn();
    expect(slices.isOver).toBe(false);
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
