import { v7 as uuidv7 } from 'uuid';
import { type BookingState, syncBooking as sync } from '../db/bookings.js';
import type { Room } from '../db/rooms.js';
import { assertText } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { platform } from '../domain/viewer.js';
import { loadRoom } from './batches.js';
import type { Deps } from './deps.js';
import { maxNameLength } from './rooms.js';
import { assertNames } from './users.js';

/**
 * Takes over what the booking system says of a booking; to be called for it alone. States may arrive in any order and
 * any number of times: the members and the name are those of the highest versions, and a cancellation is final.
 */
export async function syncBooking(
  deps: Deps,
  state: BookingState,
): Promise<{ room: Room; created: boolean; applied: boolean }> {
  const { db, feeds, limits } = deps;
  const { name, members } = state;
  if (name !== null) assertText(name, 'name', maxNameLength);
  if (members !== null) {
    if (members.length > limits.maxRoomMembers) {
      throw new ChatError('BAD_USER_INPUT', `members must have at most ${limits.maxRoomMembers} entries`);
    }
    assertNames(members, 'members.userName');
  }

  const { roomId, created, applied, entries } = await sync(db, state, {
    roomId: uuidv7(),
    messageIds: [uuidv7(), uuidv7(), uuidv7(), uuidv7()],
  });

  feeds.publish(entries);
  return { room: await loadRoom(deps, platform, roomId), created, applied };
}
