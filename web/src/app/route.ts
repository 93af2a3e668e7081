import { useSyncExternalStore } from 'react';

/** What the address says is open. */
export interface Route {
  readonly roomId: string | null;
  /** A message to show in its surroundings. */
  readonly messageId: string | null;
}

const listeners = new Set<() => void>();
let current = read();
/** The browser goes back a moment later. */
let isGoingBack = false;

function read(): Route {
  const { searchParams } = new URL(location.href);
  return { roomId: searchParams.get('room')?.toLowerCase() ?? null, messageId: searchParams.get('message') };
}

function update(): void {
  isGoingBack = false;
  const next = read();
  if (next.roomId === current.roomId && next.messageId === current.messageId) return;
  current = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener('popstate', update);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) removeEventListener('popstate', update);
  };
}

/** The address of a room, or of a message in it. */
export function addressOf(roomId: string | null, messageId?: string | null): string {
  const url = new URL(location.href);
  url.search = '';
  url.hash = '';
  if (roomId !== null) url.searchParams.set('room', roomId);
  if (roomId !== null && messageId != null) url.searchParams.set('message', messageId);
  return url.href;
}

/**
 * Opens a room, a message in it, or the list. The browser's own back leads back; from one room to another it leads to the
 * list, as on a phone.
 */
export function openRoute(roomId: string | null, messageId?: string): void {
  const { state } = history;
  if (isGoingBack) return;
  const isInRoom = current.roomId !== null;
  if (roomId === null && isInRoom && state?.isFromList === true) {
    isGoingBack = true;
    history.back();
    return;
  }
  const next = { isFromList: roomId !== null && (!isInRoom || state?.isFromList === true) };
  if (isInRoom && messageId === undefined) history.replaceState(next, '', addressOf(roomId));
  else history.pushState(next, '', addressOf(roomId, messageId));
  update();
}

/** Leads to the list, if this room is still open. */
export function leaveRoute(roomId: string): void {
  if (current.roomId === roomId) openRoute(null);
}

/** The message was shown: a reload shows the newest ones again. */
export function forgetMessage(): void {
  history.replaceState(history.state, '', addressOf(current.roomId));
  update();
}

export const useRoute = (): Route => useSyncExternalStore(subscribe, () => current);
