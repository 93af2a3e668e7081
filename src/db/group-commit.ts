/** How a write goes down, alone or with others. */
export interface Writes<Item, Answer> {
  readonly one: (item: Item) => Promise<Answer>;
  /** Resolves with an answer for each, in their order; where it fails, nothing has been written. */
  readonly many: (items: readonly Item[]) => Promise<readonly Answer[]>;
  /** Items of one queue keep their order; queues take turns. */
  readonly queueOf: (item: Item) => string;
  /** Waits, as long as somebody waits for it, for what the item's queue is locked by. */
  readonly patiently: (item: Item) => Promise<Answer>;
  /** Whether it failed because somebody else holds what its queue is about: nothing has been written. */
  readonly isLocked: (error: unknown) => boolean;
  /** After a failure of which it is not known what has been written, nothing is tried again. */
  readonly isUncertain: (error: unknown) => boolean;
}

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

const maxBatchSize = 256;
/** A commit that takes longer, as one that waits for somebody's lock, does not keep the other queues waiting. */
const patienceMs = 50;
const maxCommits = 4;
const maxSuspects = 1_000;

/**
 * Collects what is to be written while a commit is under way, and writes it with the next one: the more there is, the
 * less each costs. Nobody waits for more than the commit under way, and an item that is alone goes alone. A busy queue
 * does not keep the others waiting: each gives one item in its turn, and a queue whose items are under way waits for them.
 */
export class GroupCommit<Item, Answer> {
  readonly #writes: Writes<Item, Answer>;
  readonly #queues = new Map<string, Waiting<Item, Answer>[]>();
  readonly #underWay = new Set<string>();
  /** Queues that somebody holds up: each waits by itself, and no commit waits for it. */
  readonly #locked = new Set<string>();
  /** Queues that were waited for in vain: the next item tries by itself whether they are free again. */
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
      const written = this.#write(batch);
      // Behind the statement, which goes out in the tick before: the database works while those are answered.
      if (tellWritten !== undefined) process.nextTick(tellWritten);
      tellWritten = await written;
      for (const name of names) if (!this.#locked.has(name)) this.#underWay.delete(name);
    }
    tellWritten?.();
    this.#commits -= 1;
    if (this.#commits > 0) return;
    clearTimeout(this.#impatient);
    this.#impatient = undefined;
  }

  #take(): Waiting<Item, Answer>[] {
    const batch: Waiting<Item, Answer>[] = [];
    // A queue that gave its item goes to the end of the map, and so of this loop too.
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

  /** Resolves once it is known what became of them, with what tells everybody. */
  async #write(batch: readonly Waiting<Item, Answer>[]): Promise<() => void> {
    const [first, ...others] = batch;
    if (first === undefined) return () => undefined;
    if (others.length === 0) return this.#writeAlone(first);
    try {
      const answers = await this.#writes.many(batch.map(({ item }) => item));
      return () => {
        for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as Answer);
      };
    } catch (error) {
      if (this.#writes.isUncertain(error)) {
        return () => {
          for (const { reject } of batch) reject(error);
        };
      }
      // One of them spoils it for all: each by itself gets its own answer.
      for (const waiting of batch) (await this.#writeAlone(waiting))();
      return () => undefined;
    }
  }

  #writeAlone({ item, resolve, reject }: Waiting<Item, Answer>): Promise<() => void> {
    return this.#writes.one(item).then(
      (answer) => () => resolve(answer),
      (error: unknown) => {
        if (!this.#writes.isLocked(error)) return () => reject(error);
        void this.#waitForLock({ item, resolve, reject });
        return () => undefined;
      },
    );
  }

  #tryAgain(name: string): void {
    const next = this.#queues.get(name)?.shift();
    if (this.#queues.get(name)?.length === 0) this.#queues.delete(name);
    if (next === undefined) return;
    this.#underWay.add(name);
    void this.#waitForLock(next);
  }

  /** Item by item, until the lock is had; where it is waited for in vain, so would the others of the queue wait. */
  async #waitForLock({ item, resolve, reject }: Waiting<Item, Answer>): Promise<void> {
    const name = this.#writes.queueOf(item);
    this.#locked.add(name);
    try {
      resolve(await this.#writes.patiently(item));
      this.#suspects.delete(name);
    } catch (error) {
      reject(error);
      if (this.#writes.isLocked(error)) {
        for (const waiting of this.#queues.get(name) ?? []) waiting.reject(error);
        this.#queues.delete(name);
        if (this.#suspects.size < maxSuspects) this.#suspects.add(name);
      }
    }
    this.#locked.delete(name);
    this.#underWay.delete(name);
    if (this.#queues.has(name) && this.#commits === 0) void this.#commit();
  }
}
