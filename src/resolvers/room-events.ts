import { ChatError } from '../domain/errors.js';
import { parseUuid } from '../domain/ids.js';
import type { Pollable } from '../domain/pollable.js';
import type { RoomEvent } from '../domain/room-event.js';
import type { LogEntry } from '../domain/room-log.js';
import type { Viewer } from '../domain/viewer.js';
import { loadMemberHead } from './batches.js';
import type { Deps } from './deps.js';

export interface WatchRoomInput {
  readonly roomId: string;
  readonly afterSeq?: number | null | undefined;
}

/**
 * All that happens in the room from `afterSeq`, or from now, each entry once and in order; then live without a gap.
 * @throws {ChatError} NOT_FOUND where the viewer is no member; the iterator throws FORBIDDEN when that ends
 */
export async function watchRoom(
  deps: Deps,
  viewer: Viewer,
  { roomId, afterSeq }: WatchRoomInput,
): Promise<Pollable<RoomEvent>> {
  const { feeds, limits } = deps;
  const id = parseUuid(roomId, 'roomId');
  if (afterSeq != null && afterSeq < 0) throw new ChatError('BAD_USER_INPUT', 'afterSeq must not be negative');

  return feeds.subscribe(id, async () => {
    const head = await loadMemberHead(deps, viewer, id);
    if (head === null) throw new ChatError('NOT_FOUND', 'There is no such room, or you are not a member');
    return {
      viewerId: viewer.userId,
      head,
      afterSeq: afterSeq ?? head,
      maxLag: limits.maxLag,
    };
  });
}

/** The same, only what was added. */
export async function watchMessages(deps: Deps, viewer: Viewer, input: WatchRoomInput): Promise<Pollable<LogEntry>> {
  const events = await watchRoom(deps, viewer, input);
  // Not a generator: one that waits cannot be returned from before the next event comes.
  const added: Pollable<LogEntry> = {
    [Symbol.asyncIterator]: () => added,
    async next() {
      for (;;) {
        const { done, value } = await events.next();
        if (done === true) return { done, value: undefined };
        if (value.kind === 'added') return { done: false, value };
      }
    },
    async return() {
      await events.return?.();
      return { done: true, value: undefined };
    },
    peek() {
      for (;;) {
        const event = events.peek();
        if (event === undefined || event.kind === 'added') return event;
        events.skip(event);
      }
    },
    skip: (shown) => events.skip(shown),
    get isIdle() {
      return events.isIdle;
    },
    listen: (listener) => events.listen(listener),
  };
  return added;
}
