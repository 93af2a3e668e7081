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
 * any number of times: the members are those of the highest version, and a cancellation is final.
 */
export async function syncBooking(
  deps: Deps,
  state: BookingState,
): Promise<{ room: Room; created: boolean; applied: boolean }> {
  const { db, feeds, limits } = deps;
  const { name, members } = state;
  if (name !== null) assertText(name, 'name', maxNameLength);
  if (members !== null) assertNames(members, 'userName');
  if (members !== null && members.length > limits.maxRoomMembers) {
    throw new ChatError('BAD_USER_INPUT', `A room has at most ${limits.maxRoomMembers} members`);
  }

  const { roomId, created, applied, entries } = await sync(db, state, {
    roomId: uuidv7(),
    messageIds: [uuidv7(), uuidv7(), uuidv7(), uuidv7()],
  });

  feeds.publish(entries);
  return { room: await loadRoom(deps, platform, roomId), created, applied };
}
