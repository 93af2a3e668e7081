import { describe, expect, it } from 'vitest';
import { CurrentStep, laterKinds, steps } from '../../src/pubsub/live/intervals.js';

/** The interval of typing shows the step. */
const intervals = steps.map(({ typing }) => typing);

describe('the intervals of what is delivered after the entries', () => {
  it('widen with each step, to at most 5 s, a later kind before an earlier one', () => {
    for (const [index, step] of steps.entries()) {
      for (const [place, kind] of laterKinds.entries()) {
        expect(step[kind]).toBeLessThanOrEqual(5_000);
        const [before, earlierKind] = [steps[index - 1], laterKinds[place - 1]];
        if (before === undefined) continue;
        expect(step[kind], `${kind} at ${step.lateMs} ms`).toBeGreaterThanOrEqual(before[kind]);
        const isWider = (name: typeof kind) => step[name] > (steps[0]?.[name] ?? 0);
        if (earlierKind !== undefined && isWider(earlierKind))
          expect(isWider(kind), `${kind} gives way first`).toBe(true);
      }
    }
    for (const kind of laterKinds) expect(steps.at(-1)?.[kind]).toBe(5_000);
  });

  it('widen at once and narrow step by step, each after a calm time', () => {
    const current = new CurrentStep();
    const at = (now: number, lateMs: number) => {
      current.note(lateMs, now);
      return intervals.indexOf(current.intervalMs('typing'));
    };
    expect(at(0, 49)).toBe(0);
    expect(at(50, 250)).toBe(3);
    expect(at(349, 0), 'not calm for long enough').toBe(3);
    expect(at(350, 0)).toBe(2);
    expect(at(400, 100), 'as late as this step').toBe(2);
    expect(at(650, 60), 'less late').toBe(2);
    expect(at(700, 60)).toBe(1);
    expect(at(1_000, 60), 'as late as this step').toBe(1);
    expect(at(1_300, 0)).toBe(0);
    expect(at(5_000, 0)).toBe(0);
  });

  it('do not flap while the lateness goes up and down', () => {
    const current = new CurrentStep();
    const seen = new Set<number>();
    for (let now = 0; now < 10_000; now += 50) {
      current.note(now % 200 === 0 ? 120 : 10, now);
      seen.add(current.intervalMs('inbox'));
    }
    expect([...seen]).toEqual([steps[2]?.inbox]);
  });
});
