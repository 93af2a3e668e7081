import { v7 as uuidv7 } from 'uuid';
import { createRoom as create, markRead as mark, renameRoom as rename } from '../db/room-log.js';
import {
  countAllUnread,
  countUnread,
  findBookingRoom,
  findLastMessages,
  findRoom,
  findRooms,
  nameByMembers,
  pageRooms,
  type Room,
} from '../db/rooms.js';
import { assertText } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { parseUserId, parseUuid } from '../domain/ids.js';
import type { Message } from '../domain/message.js';
import { type Page, type PageArgs, parsePageArgs } from '../domain/page.js';
import type { Onlooker, Viewer } from '../domain/viewer.js';
import { assertAllowed, assertMayChange, assertMayCreate } from './access.js';
import type { Deps } from './deps.js';

type RoomType = Room['type'];

export const maxNameLength = 100;
const defaultPageSize = 20;

export const getRoom = ({ db }: Deps, viewer: Onlooker, id: string): Promise<Room | null> =>
  findRoom(db, parseUuid(id, 'id'), viewer.userId);

export const getBookingRoom = ({ db }: Deps, viewer: Viewer, bookingId: number): Promise<Room | null> =>
  findBookingRoom(db, bookingId, viewer.userId);

export const listRooms = async (
  { db, limits }: Deps,
  viewer: Viewer,
  { type, first, after }: Pick<PageArgs, 'first' | 'after'> & { type?: RoomType | null | undefined },
): Promise<Page<Room>> =>
  pageRooms(
    db,
    viewer.userId,
    parsePageArgs({ first: first ?? defaultPageSize, after }, limits.maxPageSize),
    type ?? undefined,
  );

export const countUnreadMessages = ({ db }: Deps, viewer: Viewer): Promise<number> => countAllUnread(db, viewer.userId);

export interface CreateRoomInput {
  readonly type: RoomType;
  readonly name?: string | null | undefined;
  readonly participantIds: readonly string[];
}

/** The DIRECT room of two users is the same for ever, whoever of them asks, and however often at once. */
export async function createRoom(
  deps: Deps,
  viewer: Viewer,
  input: CreateRoomInput,
): Promise<{ room: Room; created: boolean }> {
  const { db, feeds, limits } = deps;
  const others = parseParticipants(input, viewer, limits.maxRoomMembers);
  const name = parseRoomName(input);
  assertMayCreate(input.type);
  await assertMayChange(deps, viewer);

  const { roomId, created, entries } = await create(db, {
    id: uuidv7(),
    type: input.type,
    name,
    directKey: input.type === 'DIRECT' ? directKey(viewer.userId, others) : null,
    bookingId: null,
    creatorId: viewer.userId,
    memberIds: [viewer.userId, ...others],
    messageId: uuidv7(),
  });

  feeds.publish(entries);
  return { room: await requireRoom(db, roomId, viewer), created };
}

export async function renameRoom(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; name: string },
): Promise<{ room: Room }> {
  const { db, feeds } = deps;
  const roomId = parseUuid(input.roomId, 'roomId');
  assertText(input.name, 'name', maxNameLength);
  await assertMayChange(deps, viewer);

  const { outcome, entries } = await rename(db, { roomId, actorId: viewer.userId, messageId: uuidv7() }, input.name);
  assertAllowed(outcome);

  feeds.publish(entries);
  return { room: await requireRoom(db, roomId, viewer) };
}

/** Moves the viewer's read mark forward to the message; never back. */
export async function markRead(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; messageId: string },
): Promise<{ room: Room }> {
  const { db, feeds } = deps;
  const roomId = parseUuid(input.roomId, 'roomId');
  const messageId = parseUuid(input.messageId, 'messageId');
  await assertMayChange(deps, viewer);

  const { outcome, member } = await mark(db, roomId, viewer.userId, messageId);
  assertAllowed(outcome);

  if (outcome === 'OK' && member !== null) feeds.publishRead(member);
  return { room: await requireRoom(db, roomId, viewer) };
}

/** @throws {ChatError} NOT_FOUND where the viewer is no member of the room any more */
export async function requireRoom(db: Deps['db'], roomId: string, viewer: Onlooker): Promise<Room> {
  const room = await findRoom(db, roomId, viewer.userId);
  if (room === null) throw notFound();
  return room;
}

/** A batch for the schema's loader: rooms of messages that the viewer has, unless they were removed meanwhile. */
export async function loadRooms({ db }: Deps, viewer: Viewer, ids: readonly string[]): Promise<(Room | Error)[]> {
  const byId = new Map((await findRooms(db, ids, viewer.userId)).map((room) => [room.id, room]));
  return ids.map((id) => byId.get(id) ?? notFound());
}

/** A batch for the schema's loader: the room's name, or what its members make of it. */
export async function loadTitles({ db }: Deps, viewer: Viewer, rooms: readonly Room[]): Promise<string[]> {
  const nameless = rooms.filter(({ name }) => name === null).map(({ id }) => id);
  const titles = nameless.length === 0 ? undefined : await nameByMembers(db, nameless, viewer.userId);
  return rooms.map(({ id, name }) => name ?? titles?.get(id) ?? '');
}

/** A batch for the schema's loader. */
export async function loadUnreadCounts({ db }: Deps, viewer: Viewer, ids: readonly string[]): Promise<number[]> {
  const counts = await countUnread(db, ids, viewer.userId);
  return ids.map((id) => counts.get(id) ?? 0);
}

/** A batch for the schema's loader. */
export async function loadLastMessages(
  { db }: Deps,
  viewer: Onlooker,
  ids: readonly string[],
): Promise<(Message | null)[]> {
  const byRoom = new Map((await findLastMessages(db, ids, viewer.userId)).map((message) => [message.roomId, message]));
  return ids.map((id) => byRoom.get(id) ?? null);
}

function parseParticipants({ type, participantIds }: CreateRoomInput, viewer: Viewer, maxMembers: number): number[] {
  const ids = new Set(participantIds.map((id) => parseUserId(id, 'participantIds')));
  ids.delete(viewer.userId);
  if (type === 'DIRECT' && ids.size !== 1) {
    throw new ChatError('BAD_USER_INPUT', 'A DIRECT room has exactly one other participant');
  }
  if (ids.size + 1 > maxMembers) {
    throw new ChatError('BAD_USER_INPUT', `A room has at most ${maxMembers} members`);
  }
  return [...ids].sort((a, b) => a - b);
}

function parseRoomName({ type, name }: CreateRoomInput): string | null {
  if (name == null) return null;
  if (type === 'DIRECT') throw new ChatError('BAD_USER_INPUT', 'A DIRECT room has no name of its own');
  assertText(name, 'name', maxNameLength);
  return name;
}

const notFound = () => new ChatError('NOT_FOUND', 'There is no such room, or you are not a member');

const directKey = (userId: number, [otherId = 0]: readonly number[]): string =>
  `${Math.min(userId, otherId)}:${Math.max(userId, otherId)}`;
