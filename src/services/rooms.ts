import { z } from 'zod';
import { cursorOfRoom } from '../db/rooms.js';
import { ChatError } from '../domain/errors.js';
import { platform, viewerOf } from '../domain/viewer.js';
import { loadRoom } from '../resolvers/batches.js';
import { syncBooking } from '../resolvers/bookings.js';
import type { Deps } from '../resolvers/deps.js';
import { inviteMembers, leaveRoom, removeMember } from '../resolvers/members.js';
import { createRoom, listRooms } from '../resolvers/rooms.js';
import { introduceUsers } from '../resolvers/users.js';
import { service } from './endpoint.js';
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
import { showRoom, showRooms } from './views.js';

const roomType = z.enum(['DIRECT', 'GROUP', 'BOOKING'], { error: 'must be DIRECT, GROUP or BOOKING' });

const createPayload = payload({
  type: roomType,
  name: optionalText,
  memberIds: someMemberIds,
  memberNames,
  creatorId: userId.nullish(),
  bookingId: bookingId.nullish(),
  version: version.nullish(),
});

/** `creatorId` is by default the first of `memberIds`. */
async function create(deps: Deps, input: z.infer<typeof createPayload>) {
  const users = pairNames(input.memberIds, input.memberNames);
  if (input.type === 'BOOKING') return createBooking(deps, input, users);
  const viewer = viewerOf(input.creatorId ?? users[0]?.userId ?? 0);
  await introduceUsers(deps, users, 'memberNames');
  const { type, name } = input;
  const participantIds = users.map(({ userId }) => String(userId));
  const { room, created } = await createRoom(deps, viewer, { type, name, participantIds });
  return { data: { ...(await showRoom(deps, viewer, room)), created } };
}

/** The same booking again is the same room; members that came later are told by `syncMembers`, or by a newer version. */
async function createBooking(deps: Deps, input: z.infer<typeof createPayload>, users: ReturnType<typeof pairNames>) {
  if (input.bookingId == null) throw new ChatError('BAD_USER_INPUT', 'bookingId must be given for a BOOKING room');
  const { room, created } = await syncBooking(deps, {
    bookingId: input.bookingId,
    name: input.name ?? null,
    members: users,
    version: input.version ?? null,
    cancelled: false,
  });
  return { data: { ...(await showRoom(deps, platform, room)), created } };
}

export const roomServices = [
  service(
    'chat.rooms.list',
    payload({ userId, type: roomType.nullish(), limit: limit.nullish(), cursor: optionalText }),
    async (deps, { userId, type, limit, cursor }) => {
      const viewer = viewerOf(userId);
      const { maxPageSize } = deps.limits;
      const first = assertLimit(limit ?? maxPageSize, maxPageSize);
      const page = await listRooms(deps, viewer, { type, first, after: cursor });
      const last = page.rows.at(-1);
      return {
        data: await showRooms(deps, viewer, page.rows),
        nextCursor: page.hasNextPage && last !== undefined ? cursorOfRoom(last) : null,
      };
    },
  ),
  service('chat.rooms.get', payload({ roomId: uuid, userId: userId.nullish() }), async (deps, { roomId, userId }) => {
    const onlooker = userId == null ? platform : viewerOf(userId);
    return { data: await showRoom(deps, onlooker, await loadRoom(deps, onlooker, roomId)) };
  }),
  service('chat.rooms.create', createPayload, create),
  service(
    'chat.rooms.addMember',
    payload({ roomId: uuid, userId, memberIds: someMemberIds, memberNames }),
    async (deps, { roomId, userId, memberIds, memberNames }) => {
      const viewer = viewerOf(userId);
      const users = pairNames(memberIds, memberNames);
      await loadRoom(deps, viewer, roomId);
      await introduceUsers(deps, users, 'memberNames');
      const { room } = await inviteMembers(deps, viewer, { roomId, userIds: memberIds.map(String) });
      return { data: await showRoom(deps, viewer, room) };
    },
  ),
  service(
    'chat.rooms.removeMember',
    payload({ roomId: uuid, userId, memberId: userId.nullish() }),
    async (deps, { roomId, userId, memberId }) => {
      const viewer = viewerOf(userId);
      if (memberId == null || memberId === userId) await leaveRoom(deps, viewer, { roomId });
      else await removeMember(deps, viewer, { roomId, userId: String(memberId) });
      return { data: { roomId, userId: memberId ?? userId } };
    },
  ),
  service(
    'chat.rooms.syncMembers',
    payload({ bookingId, members, version, name: optionalText }),
    async (deps, { name, ...state }) => {
      const { room, applied } = await syncBooking(deps, { ...state, name: name ?? null, cancelled: false });
      return { data: { ...(await showRoom(deps, platform, room)), applied } };
    },
  ),
  service('chat.rooms.cancel', payload({ bookingId }), async (deps, { bookingId }) => {
    const state = { bookingId, name: null, members: null, version: null, cancelled: true };
    const { room } = await syncBooking(deps, state);
    return { data: await showRoom(deps, platform, room) };
  }),
];
