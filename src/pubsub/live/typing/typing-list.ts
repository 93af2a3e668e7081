import type { TypingState } from '../../../domain/typing.js';

/**
 * The list of typists of one moment. All viewers who do not type themselves get the same object, so that it is executed and
 * printed once for them.
 */
export class TypingList {
  readonly #everybody: TypingState;
  /** For each typist, the list without them; created when it is needed. */
  readonly #own: Map<number, TypingState | undefined>;

  constructor(roomId: string, userIds: readonly number[]) {
    this.#everybody = { roomId, userIds };
    this.#own = new Map(userIds.map((userId) => [userId, undefined]));
  }

  /** Returns the same object for all viewers who do not type, and for one typist always. */
  stateFor(viewerId: number): TypingState {
    if (!this.#own.has(viewerId)) return this.#everybody;
    const { roomId, userIds } = this.#everybody;
    const own = this.#own.get(viewerId) ?? { roomId, userIds: userIds.filter((userId) => userId !== viewerId) };
    this.#own.set(viewerId, own);
    return own;
  }

  hasSame(userIds: readonly number[]): boolean {
    return isSameList(this.#everybody.userIds, userIds);
  }
}

export const isSameList = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((userId, index) => userId === b[index]);
