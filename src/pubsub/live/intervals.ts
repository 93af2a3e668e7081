/** What is delivered beside the entries of the logs, in the order in which it gives way to them: the last one first. */
export const laterKinds = ['inbox', 'marks', 'typing', 'presence', 'names'] as const;
export type LaterKind = (typeof laterKinds)[number];

/** For the table in docs/operations.md. @public */
export const kindNames: Readonly<Record<LaterKind, string>> = {
  inbox: 'a room in an inbox',
  marks: 'read marks',
  typing: 'the typing list of a room',
  presence: 'changed presences',
  names: 'changed names',
};

/** The intervals while this process is late by `lateMs` or more. */
type Step = Readonly<Record<LaterKind | 'lateMs', number>>;

/**
 * The minimum time between two deliveries to a subscriber, in milliseconds: of a room to an inbox, of a member's read mark or
 * of a batch of marks, of a room's typing list, of changed presences, and of changed names. A later kind widens earlier, and
 * none further than 5 s.
 */
export const steps: readonly [Step, ...Step[]] = [
  { lateMs: 0, inbox: 250, marks: 1_000, typing: 300, presence: 0, names: 0 },
  { lateMs: 50, inbox: 250, marks: 1_000, typing: 500, presence: 1_000, names: 1_000 },
  { lateMs: 100, inbox: 500, marks: 1_500, typing: 1_000, presence: 2_000, names: 2_000 },
  { lateMs: 200, inbox: 1_000, marks: 2_000, typing: 2_000, presence: 5_000, names: 5_000 },
  { lateMs: 400, inbox: 2_000, marks: 5_000, typing: 5_000, presence: 5_000, names: 5_000 },
  { lateMs: 800, inbox: 5_000, marks: 5_000, typing: 5_000, presence: 5_000, names: 5_000 },
];

/** The intervals narrow by one step after this time without a lateness of the present one. */
const calmMs = 300;

/** The current step: it widens at once, and narrows step by step, so that it does not flap. Times by `performance.now()`. */
export class CurrentStep {
  #index = 0;
  #lateAt = Number.NEGATIVE_INFINITY;

  intervalMs(kind: LaterKind): number {
    return (steps[this.#index] ?? steps[0])[kind];
  }

  /** Call it with each measured lateness. */
  note(lateMs: number, now: number): void {
    const index = steps.findLastIndex((step) => lateMs >= step.lateMs);
    if (index >= this.#index) {
      this.#index = index;
      this.#lateAt = now;
    } else if (now - this.#lateAt >= calmMs) {
      this.#index -= 1;
      this.#lateAt = now;
    }
  }
}
