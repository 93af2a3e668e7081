/** Writes one item, or several together. */
export interface Write<Item, Answer> {
  readonly one: (item: Item) => Promise<Answer>;
  /**
   * Resolves with an answer for each item, in their order, or with an error for items that were skipped because their queue
   * is locked. If it rejects, nothing was written.
   */
  readonly many: (items: readonly Item[]) => Promise<readonly (Answer | Error)[]>;
}

export interface Writes<Item, Answer> {
  /** Skips items of locked queues. */
  readonly atOnce: Write<Item, Answer>;
  /** Waits for the lock of the items' queue, which they share, for as long as a caller would wait. */
  readonly patiently: Write<Item, Answer>;
  /** Items of one queue keep their order; queues take turns. */
  readonly queueOf: (item: Item) => string;
  /** Whether it failed because others hold the lock of the queue: nothing was written. */
  readonly isLocked: (error: unknown) => boolean;
  /** Whether the error leaves it open what was written: then nothing is retried. */
  readonly isUncertain: (error: unknown) => boolean;
}

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** The result of an item. */
type Outcome<Item, Answer> = { readonly waiting: Waiting<Item, Answer> } & (
  | { readonly answer: Answer }
  | { readonly error: unknown }
);

const maxBatchSize = 256;
/** If a commit takes longer, for example because it waits for a lock, the next one starts beside it. */
const patienceMs = 50;
const maxCommits = 4;
const maxSuspects = 1_000;

/**
 * Collects items during a commit and writes them together with the next one: the more there are, the less each costs. An
 * item waits for the running commit at most, and a single item is written alone. A busy queue does not delay the others:
 * each queue gives one item in its turn, and a queue waits while its own item is being written.
 */
export class GroupCommit<Item, Answer> {
  readonly #writes: Writes<Item, Answer>;
  readonly #queues = new Map<string, Waiting<Item, Answer>[]>();
  readonly #underWay = new Set<string>();
  /** Queues that a lock of others blocks: each waits separately, and no commit waits for it. */
  readonly #locked = new Set<string>();
  /** Queues whose wait for a lock has failed: the next item tries separately whether they are free again. */
  readonly #suspects = new Set<string>();
  #commits = 0;
  #impatient: NodeJS.Timeout | undefined;

  constructor(writes: Writes<Item, Answer>) {
    this.#writes = writes;
  }

  /** Resolves once it is committed. */
  submit(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const name = this.#writes.queueOf(item);
      const queue = this.#queues.get(name);
      const waiting = { item, resolve, reject };
      if (queue === undefined) this.#queues.set(name, [waiting]);
      else queue.push(waiting);
      if (this.#locked.has(name)) return;
      if (this.#suspects.has(name) && !this.#underWay.has(name)) return this.#tryAgain(name);
      if (this.#commits === 0) void this.#commit();
      else this.#impatient ??= setTimeout(() => this.#commitBeside(), patienceMs);
    });
  }

  #commitBeside(): void {
    this.#impatient = undefined;
    if (this.#commits < maxCommits && this.#queues.size > 0) void this.#commit();
  }

  async #commit(): Promise<void> {
    this.#commits += 1;
    let tellWritten: (() => void) | undefined;
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      const names = new Set(batch.map(({ item }) => this.#writes.queueOf(item)));
      for (const name of names) this.#underWay.add(name);
      const written = this.#write(batch, this.#writes.atOnce);
      // After the next statement has been sent, so that the database works while the callers are answered.
      if (tellWritten !== undefined) process.nextTick(tellWritten);
      const outcomes = await written;
      const held = this.#findHeld(outcomes);
      tellWritten = () => tell(held.size === 0 ? outcomes : outcomes.filter((outcome) => !this.#isHeld(outcome)));
      for (const name of names) if (!held.has(name)) this.#underWay.delete(name);
      for (const [name, waiting] of held) void this.#waitForLock(name, waiting);
    }
    tellWritten?.();
    this.#commits -= 1;
    if (this.#commits > 0) return;
    clearTimeout(this.#impatient);
    this.#impatient = undefined;
  }

  #take(): Waiting<Item, Answer>[] {
    const batch: Waiting<Item, Answer>[] = [];
    // A queue that gave an item moves to the end of the map, and so to the end of this loop.
    for (const [name, queue] of this.#queues) {
      if (batch.length === maxBatchSize) break;
      if (this.#underWay.has(name)) continue;
      const next = queue.shift();
      this.#queues.delete(name);
      if (queue.length > 0) this.#queues.set(name, queue);
      if (next !== undefined) batch.push(next);
    }
    return batch;
  }

  /** Resolves with the outcome of each item. */
  async #write(batch: readonly Waiting<Item, Answer>[], write: Write<Item, Answer>): Promise<Outcome<Item, Answer>[]> {
    if (batch.length > 1) {
      try {
        const answers = await write.many(batch.map(({ item }) => item));
        return batch.map((waiting, index) => toOutcome(waiting, answers[index] as Answer | Error));
      } catch (error) {
        if (this.#writes.isUncertain(error) || this.#writes.isLocked(error))
          return batch.map((waiting) => ({ waiting, error }));
      }
    }
    // One item has failed the whole batch: write each one separately, so that each gets its own answer.
    const outcomes: Outcome<Item, Answer>[] = [];
    for (const waiting of batch) {
      outcomes.push(
        await write.one(waiting.item).then(
          (answer) => ({ waiting, answer }),
          (error: unknown) => ({ waiting, error }),
        ),
      );
    }
    return outcomes;
  }

  #isHeld(outcome: Outcome<Item, Answer>): boolean {
    return 'error' in outcome && this.#writes.isLocked(outcome.error);
  }

  /** The items that a lock of others blocks, by queue. */
  #findHeld(outcomes: readonly Outcome<Item, Answer>[]): Map<string, Waiting<Item, Answer>[]> {
    const found = new Map<string, Waiting<Item, Answer>[]>();
    for (const outcome of outcomes) {
      if (!this.#isHeld(outcome)) continue;
      const name = this.#writes.queueOf(outcome.waiting.item);
      const held = found.get(name);
      if (held === undefined) found.set(name, [outcome.waiting]);
      else held.push(outcome.waiting);
    }
    return found;
  }

  #tryAgain(name: string): void {
    this.#underWay.add(name);
    void this.#waitForLock(name, []);
  }

  /** Writes all waiting items of the queue when the lock is free. If the wait fails, items that came meanwhile fail as well. */
  async #waitForLock(name: string, held: readonly Waiting<Item, Answer>[]): Promise<void> {
    this.#locked.add(name);
    const queue = this.#queues.get(name) ?? [];
    const batch = [...held, ...queue.splice(0, maxBatchSize - held.length)];
    if (queue.length === 0) this.#queues.delete(name);
    const outcomes = await this.#write(batch, this.#writes.patiently);
    tell(outcomes);
    const refusal = outcomes.find((outcome) => this.#isHeld(outcome));
    if (refusal === undefined) this.#suspects.delete(name);
    else {
      tell((this.#queues.get(name) ?? []).map((waiting) => ({ ...refusal, waiting })));
      this.#queues.delete(name);
      if (this.#suspects.size < maxSuspects) this.#suspects.add(name);
    }
    this.#locked.delete(name);
    this.#underWay.delete(name);
    if (this.#queues.has(name) && this.#commits === 0) void this.#commit();
  }
}

const toOutcome = <Item, Answer>(waiting: Waiting<Item, Answer>, answer: Answer | Error): Outcome<Item, Answer> =>
  answer instanceof Error ? { waiting, error: answer } : { waiting, answer };

function tell<Item, Answer>(outcomes: readonly Outcome<Item, Answer>[]): void {
  for (const outcome of outcomes) {
    if ('answer' in outcome) outcome.waiting.resolve(outcome.answer);
    else outcome.waiting.reject(outcome.error);
  }
}
