import { ChatError } from '../../../domain/errors.js';

interface Selected {
  /** Equal for subscriptions that share an execution; null if it is not shared. */
  readonly key: string | null;
  /** The maximum number of fields that one event may touch. */
  readonly price: number;
}

interface Event {
  readonly price: number;
  holders: number;
}

/**
 * Limits the cost of one event for all subscriptions of one user on this instance together. Subscriptions with the same
 * selection share its execution, so each selection counts once, with its maximum number of fields.
 */
export class EventBudget {
  readonly #events = new Map<number, Map<string | symbol, Event>>();

  /**
   * Returns a function that gives the price back; calling it twice is harmless.
   * @throws {ChatError} RATE_LIMITED if the user's selections may touch more than `max` fields together
   */
  take(userId: number, { key, price }: Selected, max: number): () => void {
    const name = key ?? Symbol();
    const events = this.#events.get(userId) ?? new Map<string | symbol, Event>();
    const known = events.get(name);
    const total = [...events.values()].reduce((sum, event) => sum + event.price, known === undefined ? price : 0);
    if (total > max && known === undefined && events.size > 0) throw tooMuch();
    const event = known ?? { price, holders: 0 };
    event.holders += 1;
    events.set(name, event);
    this.#events.set(userId, events);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      event.holders -= 1;
      if (event.holders > 0) return;
      events.delete(name);
      if (events.size === 0) this.#events.delete(userId);
    };
  }
}

const tooMuch = () =>
  new ChatError(
    'RATE_LIMITED',
    'The subscriptions of this user have too many different selections: use the same documents, close some, or select pages instead of lists',
    { retryAfterMs: 1_000 },
  );
