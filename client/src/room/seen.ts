import { deliverLastWord } from '../outbox/delivery.js';
import type { Session } from '../session.js';

/** A message counts as read when it was in view for this time. */
const viewedMs = 500;

/** A message that was in view. */
export interface SeenMessage {
  readonly id: string;
  readonly seq: number;
}

/** Moves the viewer's read mark to what was really seen: in view, on a visible and focused page. */
export interface Seen {
  see(message: SeenMessage): void;
  /** Sends what was seen, at once: the page ends, or the room is left. */
  flush(isLastWord: boolean): void;
  /** The page has become visible or focused, so what is in view counts now; or hidden, so it does not. */
  look(): void;
  /** Positions have lost their meaning: the log was restored. */
  reset(): void;
  stop(): void;
}

/** @param mark - called with the position up to which the viewer has read */
export function createSeen(session: Session, roomId: string, mark: (seq: number) => void): Seen {
  const { environment, outbox } = session;
  let newest: SeenMessage | undefined;
  let marked = 0;
  let cancel: (() => void) | undefined;
  const isWatching = () => environment.page.isVisible() && environment.page.isFocused();
  const flush = (isLastWord: boolean) => {
    if (cancel === undefined || newest === undefined) return;
    cancel();
    cancel = undefined;
    marked = newest.seq;
    mark(newest.seq);
    if (isLastWord) deliverLastWord(session, roomId, newest.id);
    try {
      outbox.add({ kind: 'read', id: environment.uuid(), roomId, messageId: newest.id, seq: newest.seq });
    } catch {
      // A full outbox has more important things; the next mark replaces this one.
    }
  };
  const look = () => {
    if (!isWatching()) {
      // A glance is not reading.
      cancel?.();
      cancel = undefined;
    }
    if (newest === undefined || newest.seq <= marked || !isWatching()) return;
    cancel ??= environment.setTimer(() => flush(false), viewedMs);
  };
  return {
    see: (message) => {
      if (message.seq <= (newest?.seq ?? 0)) return look();
      newest = message;
      return look();
    },
    flush,
    look,
    reset: () => {
      cancel?.();
      [cancel, newest, marked] = [undefined, undefined, 0];
    },
    stop: () => flush(false),
  };
}
