import type { Listener } from '../../domain/source.js';

/** Listeners that are woken at the end of a turn of the event loop, once for all changes in it. */
export class Listeners<L extends Listener = Listener> {
  readonly #listeners = new Set<L>();
  readonly #onError: (error: unknown) => void;
  #waking: NodeJS.Immediate | undefined;

  /** @param onError - called with the error of a listener, which does not keep the others from being woken */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#listeners.size;
  }

  add(listener: L): void {
    this.#listeners.add(listener);
  }

  delete(listener: L): void {
    this.#listeners.delete(listener);
  }

  [Symbol.iterator](): Iterator<L> {
    return this.#listeners.values();
  }

  wake(): void {
    this.#waking ??= setImmediate(() => {
      this.#waking = undefined;
      for (const listener of this.#listeners) this.#rouse(listener);
    });
  }

  #rouse(listener: Listener): void {
    try {
      listener.wake();
    } catch (error) {
      this.#onError(error);
    }
  }
}
