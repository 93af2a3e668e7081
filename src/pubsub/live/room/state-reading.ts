import type { LogStore } from '../../../domain/room-log.js';
import { maxStatesKept } from './latest-states.js';
import type { RoomFeed } from './room-feed.js';
import type { StateKind } from './room-states.js';

export interface StateReading {
  readonly store: LogStore;
  readonly stateKinds: readonly StateKind[];
  /** The open feeds, by room. */
  readonly feeds: ReadonlyMap<string, RoomFeed>;
}

/** Of one statement. */
export const roomsPerStatement = 200;

/**
 * Reads the states of these rooms since `start`, by `performance.now()`, from the database, one statement after the other, and
 * gives them to the feeds, which ignore what they have.
 */
export async function readStates(options: StateReading, roomIds: readonly string[], start: number): Promise<void> {
  for (const kind of options.stateKinds) {
    for (let at = 0; at < roomIds.length; at += roomsPerStatement) {
      await readSome(options, kind, roomIds.slice(at, at + roomsPerStatement), start);
    }
  }
}

async function readSome(
  options: StateReading,
  kind: StateKind,
  roomIds: readonly string[],
  start: number,
): Promise<void> {
  const { store, feeds } = options;
  // Rooms that were closed meanwhile need no states.
  const open = roomIds.filter((roomId) => feeds.has(roomId));
  if (open.length === 0) return;
  const ageMs = performance.now() - start;
  const states = await kind.load(store, { roomIds: open, ageMs, count: maxStatesKept });
  if (states.length >= maxStatesKept && open.length > 1) {
    // There may be more than one statement may return.
    const half = Math.ceil(open.length / 2);
    await readSome(options, kind, open.slice(0, half), start);
    await readSome(options, kind, open.slice(half), start);
    return;
  }
  for (const state of states) feeds.get(state.roomId)?.acceptState(kind, state);
}
