import { ChatError } from '../../../domain/errors.js';

interface Selected {
  /** Equal for subscriptions with the same selection; null for one of its own. */
  readonly key: string | null;
  /** The most fields that one event may touch. */
  readonly price: number;
}

interface Event {
  readonly price: number;
  holders: number;
}

/**
 * Bounds what one event can cost for all subscriptions of one user on this instance together. Those with the same
 * selection share its execution, so each selection counts once, with as many fields as it may touch.
 */
export class EventBudget {
  readonly #events = new Map<number, Map<string | symbol, Event>>();

  /**
   * Returns how to give it back; that twice does nothing.
   * @throws {ChatError} RATE_LIMITED where the user's selections may touch more than `max` fields together
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
    'The subscriptions of this user select too much, each in its own way: use the same documents, close some, or select pages in place of lists',
    { retryAfterMs: 1_000 },
  );
