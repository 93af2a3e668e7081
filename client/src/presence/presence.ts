import { createFeed, type Feed } from '../connection/feed.js';
import { FairwayError } from '../errors.js';
import { createLinger } from '../linger.js';
import { PresenceDocument } from '../operations/generated/documents.js';
import type { Session } from '../session.js';
import { createStore, type Store } from '../store.js';

/** Whether a user is online, and when they were last seen (ISO 8601; null while online, or if never). */
export interface Presence {
  readonly isOnline: boolean;
  readonly lastSeenAt: string | null;
}

/** By user. Nothing is known of users who are not in it: show them as offline. */
export type PresenceSnapshot = ReadonlyMap<string, Presence>;

export interface PresenceStore extends Store<PresenceSnapshot> {
  isWatched(): boolean;
  close(): void;
}

const withoutSocketMs = 30_000;

/** Follows the presence of these users while somebody is subscribed. */
export function createPresence(session: Session, userIds: readonly string[]): PresenceStore {
  let feed: Feed | undefined;
  const store = createStore<PresenceSnapshot>(new Map(), (isWatched) => linger.setWatched(isWatched));
  const forget = () => {
    if (store.getSnapshot().size > 0) store.set(new Map());
  };
  const start = () => {
    session.start();
    feed = createFeed({
      environment: session.environment,
      connection: session.connection,
      prepare: async ({ line }) => {
        if (line.transport !== 'websocket') throw new FairwayError('NO_ANSWER', 'Sockets only', withoutSocketMs);
        return { document: PresenceDocument, variables: { userIds: [...userIds] } };
      },
      next: ({ presence: { user, status, lastSeenAt } }) =>
        store.set(new Map(store.getSnapshot()).set(user.id, { isOnline: status === 'ONLINE', lastSeenAt })),
      polled: forget,
      stale: forget,
      gone: forget,
    });
  };
  const linger = createLinger(session.environment, start, () => {
    feed?.stop();
    feed = undefined;
    forget();
  });
  return {
    subscribe: store.subscribe,
    getSnapshot: store.getSnapshot,
    isWatched: () => feed !== undefined,
    close: () => linger.end(),
  };
}
