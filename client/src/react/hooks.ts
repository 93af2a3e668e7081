import { createContext, createElement, type ReactNode, useContext, useMemo, useSyncExternalStore } from 'react';
import type {
  ConnectionSnapshot,
  Fairway,
  PresenceSnapshot,
  QueuedOperation,
  Room,
  RoomSnapshot,
  Rooms,
  RoomsSnapshot,
  Store,
  User,
} from '../fairway.js';

const FairwayContext = createContext<Fairway | null>(null);

/** Gives the hooks below it their client. Create the client once, outside of components, and close it where the app ends. */
export function FairwayProvider({ fairway, children }: { fairway: Fairway; children?: ReactNode }): ReactNode {
  return createElement(FairwayContext.Provider, { value: fairway }, children);
}

/** The client of the provider above. */
export function useFairway(): Fairway {
  const fairway = useContext(FairwayContext);
  if (fairway === null) throw new Error('useFairway needs a FairwayProvider above it');
  return fairway;
}

/** A store's value; the component renders again when it changes. */
export function useStore<Value>(store: Store<Value>): Value {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}

/** A room, live while the component is mounted: its snapshot, and the room itself for what can be done there. */
export function useRoom(id: string): RoomSnapshot & { readonly actions: Room } {
  const actions = useFairway().room(id);
  const snapshot = useStore(actions);
  return useMemo(() => ({ ...snapshot, actions }), [snapshot, actions]);
}

/** The viewer's rooms, live while the component is mounted. */
export function useRooms(): RoomsSnapshot & { readonly actions: Rooms } {
  const actions = useFairway().rooms;
  const snapshot = useStore(actions);
  return useMemo(() => ({ ...snapshot, actions }), [snapshot, actions]);
}

export const useConnection = (): ConnectionSnapshot => useStore(useFairway().connection);

export const useViewer = (): User | null => useStore(useFairway().viewer);

export const useOutbox = (): readonly QueuedOperation[] => useStore(useFairway().outbox);

/** The presence of these users, live while the component is mounted. */
export const usePresence = (userIds: readonly string[]): PresenceSnapshot => useStore(useFairway().presence(userIds));
