import { ChatError } from '../../domain/errors.js';

const retryAfterMs = 1_000;

/** How many requests of one user are answered at a time, on this instance: each holds a connection and a file while it lasts. */
export class UserLimit {
  readonly #underWay = new Map<number, number>();

  /** @param what - in the plural, for the error */
  constructor(
    private readonly max: number,
    private readonly what: string,
  ) {}

  /** @throws {ChatError} RATE_LIMITED, and whatever the work throws */
  async run<T>(userId: number, work: () => Promise<T>): Promise<T> {
    const underWay = this.#underWay.get(userId) ?? 0;
    if (underWay >= this.max) {
      throw new ChatError('RATE_LIMITED', `Only ${this.max} ${this.what} at once; wait for one of them`, {
        retryAfterMs,
      });
    }
    this.#underWay.set(userId, underWay + 1);
    try {
      return await work();
    } finally {
      const left = (this.#underWay.get(userId) ?? 1) - 1;
      if (left === 0) this.#underWay.delete(userId);
      else this.#underWay.set(userId, left);
    }
  }
}
