import { z } from 'zod';
import { cursorOfRoom } from '../db/rooms.js';
import type { MentionedUser } from '../db/users.js';
import { parseName } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { platform, viewerOf } from '../domain/viewer.js';
import { syncBooking } from '../resolvers/bookings.js';
import type { Deps } from '../resolvers/deps.js';
import { maxRetentionDays, setRoomRetention } from '../resolvers/file-retention.js';
import { loadRoom } from '../resolvers/loaders.js';
import { createRoom, listRooms, toSelection } from '../resolvers/rooms.js';
import { introduceUsers } from '../resolvers/users.js';
import {
  assertLimit,
  bookingId,
  limit,
  memberNames,
  members,
  optionalText,
  pairNames,
  payload,
  someMemberIds,
  userId,
  uuid,
  version,
} from './payloads.js';
import { service } from './service.js';
import { shownToUser, showRoom, showRooms } from './views.js';

const roomType = z.enum(['DIRECT', 'GROUP', 'BOOKING'], { error: 'must be DIRECT, GROUP or BOOKING' });

const daysError = `must be a whole number from 0 to ${maxRetentionDays}, or null`;
const attachmentRetentionDays = z
  .int({ error: daysError })
  .min(0, { error: daysError })
  .max(maxRetentionDays, { error: daysError })
  .nullable();

const createPayload = payload({
  type: roomType,
  name: optionalText,
  memberIds: someMemberIds,
  memberNames,
  creatorId: userId.nullish(),
  bookingId: bookingId.nullish(),
  version: version.nullish(),
});

async function create(deps: Deps, input: z.infer<typeof createPayload>) {
  const { maxRoomMembers } = deps.limits;
  const users = pairNames(input, maxRoomMembers);
  if (input.type === 'BOOKING') return createBooking(deps, input, users);
  const viewer = viewerOf(input.creatorId ?? users[0]?.userId ?? 0);
  assertCreatable(input, viewer.userId, maxRoomMembers);
  await introduceUsers(deps, users);
  const { type, name } = input;
  const participantIds = users.map(({ userId }) => String(userId));
  const { room, created } = await createRoom(deps, viewer, { type, name, participantIds }, shownToUser);
  return { data: { ...(await showRoom(deps, viewer, room)), created } };
}

/** Throws what `createRoom` would throw, with the payload's field names, before new users are stored. */
function assertCreatable(
  { type, name, memberIds }: z.infer<typeof createPayload>,
  creatorId: number,
  maxRoomMembers: number,
): void {
  const { size } = new Set([creatorId, ...memberIds]);
  if (type === 'DIRECT' && size !== 2) {
    throw new ChatError('BAD_USER_INPUT', 'memberIds must name exactly one user beside the creator of a DIRECT room');
  }
  if (size > maxRoomMembers) {
    throw new ChatError('BAD_USER_INPUT', `memberIds must have at most ${maxRoomMembers} entries with the creator`);
  }
  if (name == null) return;
  if (type === 'DIRECT') throw new ChatError('BAD_USER_INPUT', 'name must not be given for a DIRECT room');
  parseName(name, 'name');
}

/** Returns an existing room of the booking unchanged: only `syncMembers` and booking events change it. */
async function createBooking(deps: Deps, input: z.infer<typeof createPayload>, users: readonly MentionedUser[]) {
  if (input.bookingId == null) throw new ChatError('BAD_USER_INPUT', 'bookingId must be given for a BOOKING room');
  const { room, created } = await syncBooking(deps, {
    bookingId: input.bookingId,
    name: input.name ?? null,
    members: users,
    version: input.version ?? null,
    cancelled: false,
    onlyMakes: true,
  });
  return { data: { ...(await showRoom(deps, platform, room)), created } };
}

export const roomServices = [
  service(
    'chat.rooms.list',
    "the user's rooms, newest activity first, by default a full page; `nextCursor` beside `data`",
    payload({ userId, type: roomType.nullish(), limit: limit.nullish(), cursor: optionalText }),
    async (deps, { userId, type, limit, cursor }) => {
      const viewer = viewerOf(userId);
      const { maxPageSize } = deps.limits;
      const first = assertLimit(limit ?? maxPageSize, maxPageSize);
      const page = await listRooms(deps, viewer, { type, first, after: cursor }, shownToUser);
      const last = page.rows.at(-1);
      return {
        data: await showRooms(deps, viewer, page.rows),
        nextCursor: page.hasNextPage && last !== undefined ? cursorOfRoom(last) : null,
      };
    },
  ),
  service(
    'chat.rooms.get',
    'the room',
    payload({ roomId: uuid, userId: userId.nullish() }),
    async (deps, { roomId, userId }) => {
      const reader = userId == null ? platform : viewerOf(userId);
      const room = await loadRoom(deps, reader, roomId, toSelection(shownToUser, deps.limits));
      return { data: await showRoom(deps, reader, room) };
    },
  ),
  service(
    'chat.rooms.create',
    'the room and `created`; a DIRECT or booking room that exists is returned as it is. `creatorId` is by default the first of `memberIds`',
    createPayload,
    create,
  ),
  service(
    'chat.rooms.keepFiles',
    'the room and `attachmentRetentionDays`; the files of earlier messages have their new date, too',
    payload({ roomId: uuid, attachmentRetentionDays }),
    async (deps, { roomId, attachmentRetentionDays }) => {
      const room = await setRoomRetention(deps, roomId, attachmentRetentionDays);
      return { data: { ...(await showRoom(deps, platform, room)), attachmentRetentionDays } };
    },
  ),
  service(
    'chat.rooms.syncMembers',
    'the room and `applied`',
    payload({ bookingId, members, version, name: optionalText }),
    async (deps, { name, ...state }) => {
      const { room, applied } = await syncBooking(deps, { ...state, name: name ?? null, cancelled: false });
      return { data: { ...(await showRoom(deps, platform, room)), applied } };
    },
  ),
  service('chat.rooms.cancel', 'the room, closed for writing', payload({ bookingId }), async (deps, { bookingId }) => {
    const state = { bookingId, name: null, members: null, version: null, cancelled: true };
    const { room } = await syncBooking(deps, state);
    return { data: await showRoom(deps, platform, room) };
  }),
];
