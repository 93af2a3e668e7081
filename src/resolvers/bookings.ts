import { v7 as uuidv7 } from 'uuid';
import { type BookingState, syncBooking as sync } from '../db/bookings.js';
import type { Room } from '../db/rooms.js';
import { parseName } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { platform } from '../domain/viewer.js';
import type { Deps } from './deps.js';
import { loadRoom } from './loaders.js';

/**
 * Applies a state of a booking from the booking system; call it for that system only. States may arrive in any order and
 * several times: the members and the name are those of the highest versions, and a cancellation is final.
 */
export async function syncBooking(
  deps: Deps,
  state: BookingState,
): Promise<{ room: Room; created: boolean; applied: boolean }> {
  const { db, feeds, names, limits, language } = deps;
  const name = state.name === null ? null : parseName(state.name, 'name');
  if (state.members !== null && state.members.length > limits.maxRoomMembers) {
    throw new ChatError('BAD_USER_INPUT', `members must have at most ${limits.maxRoomMembers} entries`);
  }

  const { roomId, created, applied, entries, renamed } = await sync(
    db,
    { ...state, name },
    {
      roomId: uuidv7(),
      messageIds: [uuidv7(), uuidv7(), uuidv7(), uuidv7()],
    },
    language,
  );

  names.announce(renamed);
  feeds.publish(entries);
  return { room: await loadRoom(deps, platform, roomId), created, applied };
}
