import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TypingGate } from '../../src/pubsub/live/typing/typing-gate.js';

/** Whether the user is typing, or that they sent the message. */
type Said = boolean | 'sent';
type Step = readonly [atMs: number, said: Said];
type Passed = readonly [atMs: number, isTyping: boolean];

const silenceMs = 20_000;

describe('the gate of typing signals', () => {
  let passed: Passed[];
  let idleAt: number[];
  let startedAt: number;
  /** Undefined while the gate is idle. */
  let gate: TypingGate | undefined;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    reset();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each<[what: string, steps: Step[], passes: Passed[]]>([
    ['a beginning at once', [[0, true]], [[0, true]]],
    [
      'a stop at once',
      [
        [0, true],
        [100, false],
      ],
      [
        [0, true],
        [100, false],
      ],
    ],
    ['a stop without a known beginning', [[0, false]], [[0, false]]],
    [
      'one stop of several',
      [
        [0, true],
        [100, false],
        [200, false],
        [1_500, false],
      ],
      [
        [0, true],
        [100, false],
      ],
    ],
    [
      'a repetition a second later',
      [
        [0, true],
        [1_000, true],
      ],
      [
        [0, true],
        [1_000, true],
      ],
    ],
    [
      'one of many repetitions per second, including the newest',
      [
        [0, true],
        [200, true],
        [400, true],
        [900, true],
      ],
      [
        [0, true],
        [1_000, true],
      ],
    ],
    [
      'a new beginning when its second is over',
      [
        [0, true],
        [100, false],
        [200, true],
      ],
      [
        [0, true],
        [100, false],
        [1_000, true],
      ],
    ],
    [
      'no beginning that was stopped while it waited',
      [
        [0, true],
        [100, false],
        [200, true],
        [300, false],
      ],
      [
        [0, true],
        [100, false],
      ],
    ],
    [
      'the last of many changes of mind',
      [
        [0, true],
        [100, false],
        [200, true],
        [300, false],
        [400, true],
      ],
      [
        [0, true],
        [100, false],
        [1_000, true],
      ],
    ],
    [
      'a stop between the beginning and the repetition that waits',
      [
        [0, true],
        [500, true],
        [700, false],
      ],
      [
        [0, true],
        [700, false],
      ],
    ],
    [
      'a stop if a message was sent',
      [
        [0, true],
        [100, 'sent'],
      ],
      [
        [0, true],
        [100, false],
      ],
    ],
    [
      'no second stop if a message was sent',
      [
        [0, true],
        [100, false],
        [200, 'sent'],
      ],
      [
        [0, true],
        [100, false],
      ],
    ],
    [
      'no beginning that a message ended while it waited',
      [
        [0, true],
        [100, false],
        [200, true],
        [300, 'sent'],
      ],
      [
        [0, true],
        [100, false],
      ],
    ],
    [
      'a beginning after the message',
      [
        [0, true],
        [100, 'sent'],
        [1_200, true],
      ],
      [
        [0, true],
        [100, false],
        [1_200, true],
      ],
    ],
  ])('passes %s', (_what, steps, passes) => {
    play(steps);
    vi.advanceTimersByTime(silenceMs);

    expect(passed).toEqual(passes);
  });

  it('passes at most one beginning per second, passes the last state within a second, and is idle in the end', () => {
    const step = fc.tuple(
      fc.nat(1_500),
      fc.oneof({ weight: 5, arbitrary: fc.boolean() }, fc.constant('sent' as const)),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (pauses) => {
        reset();
        const steps: Step[] = [];
        for (const [pauseMs, said] of pauses) steps.push([(steps.at(-1)?.[0] ?? 0) + pauseMs, said]);
        play(steps);
        const [lastAt, last] = steps.at(-1) as Step;
        vi.advanceTimersByTime(1_000);

        const beginnings = passed.filter(([, isTyping]) => isTyping).map(([at]) => at);
        const gaps = beginnings.slice(1).map((at, index) => at - (beginnings[index] as number));
        expect(Math.min(1_000, ...gaps)).toBe(1_000);
        expect(passed.at(-1)?.[1] ?? false).toBe(last === true);
        // A user who goes on typing is announced again: an older signal would expire too early.
        if (last === true) expect(beginnings.at(-1)).toBeGreaterThanOrEqual(lastAt);

        vi.advanceTimersByTime(silenceMs);
        expect(vi.getTimerCount()).toBe(0);
        expect(gate).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('is not idle before the last beginning that it passed has expired', () => {
    play([
      [0, true],
      [900, true],
    ]);
    vi.advanceTimersByTime(silenceMs);

    expect(passed.at(-1)).toEqual([1_000, true]);
    expect(idleAt[0]).toBeGreaterThanOrEqual(7_000);
  });

  it('passes one beginning if a late event loop lets the next signal overtake the one that waits', () => {
    play([
      [0, true],
      [100, true],
    ]);
    const overtakenAt = performance.now() + 950;
    const clock = vi.spyOn(performance, 'now').mockReturnValue(overtakenAt);
    open().submit(true);
    clock.mockRestore();
    vi.advanceTimersByTime(silenceMs);

    expect(passed).toEqual([
      [0, true],
      [1_050, true],
    ]);
  });

  it('is fresh for a second from the signal that it accepted, not from those that are merged with it', () => {
    const gate = open();
    const fresh: boolean[] = [gate.isFresh];
    gate.submit(true);
    fresh.push(gate.isFresh);
    vi.advanceTimersByTime(900);
    gate.submit(true);
    fresh.push(gate.isFresh);
    vi.advanceTimersByTime(100);
    fresh.push(gate.isFresh);

    expect(fresh).toEqual([false, true, true, false]);
  });

  it('knows the position of the message after which the user goes on, even without another lookup', () => {
    const positions: (number | null)[] = [];
    const gate = new TypingGate({ pass: (_isTyping, _saidAt, seq) => positions.push(seq), onIdle: () => undefined });
    gate.submit(true, performance.now(), 7);
    vi.advanceTimersByTime(100);
    gate.end(8);
    vi.advanceTimersByTime(100);
    gate.submit(true);
    vi.advanceTimersByTime(silenceMs);

    expect(positions).toEqual([7, null, 8]);
  });

  it('passes nothing more once it is closed', () => {
    play([
      [0, true],
      [100, false],
      [200, true],
    ]);
    gate?.close();
    vi.advanceTimersByTime(silenceMs);

    expect(passed).toEqual([
      [0, true],
      [100, false],
    ]);
    expect(idleAt).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  function reset(): void {
    startedAt = performance.now();
    passed = [];
    idleAt = [];
    gate = undefined;
  }

  function open(): TypingGate {
    gate ??= new TypingGate({
      pass: (isTyping) => passed.push([now(), isTyping]),
      onIdle: () => {
        idleAt.push(now());
        gate = undefined;
      },
    });
    return gate;
  }

  /** Rounded to whole milliseconds: the sums are not exact. */
  function now(): number {
    return Math.round(performance.now() - startedAt);
  }

  function play(steps: readonly Step[]): void {
    for (const [atMs, said] of steps) {
      vi.advanceTimersByTime(atMs - now());
      if (said === 'sent') gate?.end();
      else open().submit(said);
    }
  }
});
