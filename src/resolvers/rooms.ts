import { v7 as uuidv7 } from 'uuid';
import { markRead as mark } from '../db/read-marks.js';
import {
  changeRoom as change,
  createRoom as create,
  isDone,
  type LogWrite,
  type MembershipChange,
  updateRoom as update,
  type Writer,
} from '../db/room-log.js';
import {
  assertRoomCursor,
  findBookingRoom,
  findFormerRoom,
  findRoom,
  noParts,
  pageRooms,
  type Room,
  type RoomSelection,
} from '../db/rooms.js';
import { assertHttpsUrl, parseName } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { parseUserId, parseUuid } from '../domain/ids.js';
import { type Page, type PageArgs, type PageRequest, parsePageArgs } from '../domain/page.js';
import type { Viewer } from '../domain/viewer.js';
import { readMark } from '../pubsub/live/room/room-states.js';
import { assertAllowed, assertMayAppend, assertMayChange, assertMayCreate, assertMayIntroduce } from './access.js';
import type { Deps, Limits } from './deps.js';
import { awaitPicture } from './files.js';
import { found, loadRoom } from './loaders.js';
import { type MemberPageArgs, parseMemberPage } from './member-pages.js';
import { type HistoryArgs, parseHistoryPage } from './messages.js';

type RoomType = Room['type'];

export const defaultRoomPageSize = 20;

/** The parts to load in the same query as the rooms. */
export interface RoomRequest extends Omit<RoomSelection, 'history' | 'memberPage' | 'maxMembers'> {
  /** The maximum number of members of all rooms together, and how to refuse more; without it, there is no limit. */
  readonly members?: { readonly most: number; readonly refuse?: () => never };
  readonly history?: HistoryArgs | undefined;
  readonly memberPage?: MemberPageArgs | undefined;
}

export async function getRoom(
  { db, limits }: Deps,
  viewer: Viewer,
  id: string,
  request: RoomRequest,
): Promise<Room | null> {
  const roomId = parseUuid(id, 'id');
  const room = await findRoom(db, roomId, viewer.userId, toSelection(request, limits, roomId));
  assertMembersRead(request, room === null ? [] : [room]);
  return room;
}

/** The state of a room right after a write of the viewer. */
export interface WrittenRoom {
  /** The head of its log. */
  readonly seq: number;
  readonly at: Date;
  /** The whole room, if the write has returned it. */
  readonly room?: Room;
}

/**
 * The room of a message or an event. If the viewer has just written to it and is not a member any more, it is the room as of that write,
 * and only the parts that never change.
 * @throws {ChatError} NOT_FOUND if the viewer has not written to it and is not a member any more
 */
export async function getRoomOf(
  deps: Deps,
  viewer: Viewer,
  roomId: string,
  { written, request }: { readonly written: WrittenRoom | undefined; readonly request: RoomRequest },
): Promise<Room> {
  const { batches, db, limits } = deps;
  const selection = toSelection(request, limits);
  if (written === undefined) return loadRoom(deps, viewer, roomId, selection);
  const asked = { roomId, userId: viewer.userId };
  const room = await batches.rooms.load({ ...asked, selection });
  return room ?? written.room ?? found(await findFormerRoom(db, asked, written));
}

export async function getBookingRoom(
  { db, limits }: Deps,
  viewer: Viewer,
  bookingId: number,
  request: RoomRequest,
): Promise<Room | null> {
  const room = await findBookingRoom(db, bookingId, viewer.userId, toSelection(request, limits));
  assertMembersRead(request, room === null ? [] : [room]);
  return room;
}

type RoomPageArgs = Pick<PageArgs, 'first' | 'after'>;

const parseRoomPage = ({ first, after }: RoomPageArgs, { maxPageSize }: Limits): PageRequest =>
  parsePageArgs({ first: first ?? defaultRoomPageSize, after }, maxPageSize);

/** @throws {ChatError} BAD_USER_INPUT if the arguments are invalid */
export function assertRoomPageArgs(args: RoomPageArgs, limits: Limits): void {
  const { after } = parseRoomPage(args, limits);
  if (after !== undefined) assertRoomCursor(after);
}

export async function listRooms(
  { db, limits }: Deps,
  viewer: Viewer,
  { type, ...args }: RoomPageArgs & { type?: RoomType | null | undefined },
  request: RoomRequest = noParts,
): Promise<Page<Room>> {
  const selection = toSelection(request, limits);
  const page = await pageRooms(db, viewer.userId, parseRoomPage(args, limits), type ?? undefined, selection);
  assertMembersRead(request, page.rows);
  return page;
}

/** @throws by the request's `refuse`, if the rooms have more members than could be loaded with them */
function assertMembersRead({ parts, members }: RoomRequest, rooms: readonly Room[]): void {
  if (!parts.includes('members')) return;
  if (rooms.some(({ preloaded }) => preloaded?.members === undefined)) members?.refuse?.();
}

/**
 * Leaves out a page with invalid arguments, because the field itself reports the error. Also leaves out a page with a cursor
 * if the room is not known yet, because a cursor belongs to one room.
 */
export function toSelection(
  { history, memberPage, members, ...asked }: RoomRequest,
  limits: Limits,
  roomId?: string,
): RoomSelection {
  const parse = <Args extends PageArgs, Parsed>(args: Args, parsed: (args: Args, roomId: string) => Parsed) =>
    roomId === undefined && hasCursor(args) ? undefined : unlessInvalid(() => parsed(args, roomId ?? ''));
  const page = history && parse(history.args, (args, room) => parseHistoryPage(args, limits, room));
  return {
    ...asked,
    maxMembers: members?.most,
    history: page && { page, parts: history?.findParts?.() },
    memberPage: memberPage && parse(memberPage, (args, room) => parseMemberPage(args, limits, room)),
  };
}

const hasCursor = ({ after, before }: PageArgs): boolean => after != null || before != null;

function unlessInvalid<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ChatError && error.code === 'BAD_USER_INPUT') return undefined;
    throw error;
  }
}

/** One query for all calls of one turn. */
export const countUnreadMessages = ({ batches }: Deps, viewer: Viewer): Promise<number> =>
  batches.allUnread.load(viewer.userId);

export interface CreateRoomInput {
  readonly type: RoomType;
  readonly name?: string | null | undefined;
  readonly participantIds: readonly string[];
}

/** Two users have one DIRECT room forever, even if both create it several times at once. */
export async function createRoom(
  deps: Deps,
  viewer: Viewer,
  input: CreateRoomInput,
  request: RoomRequest,
): Promise<{ room: Room; created: boolean }> {
  const { db, feeds, limits } = deps;
  const { type } = input;
  const others = parseParticipants(input, viewer, limits.maxRoomMembers);
  const name = parseRoomName(input);
  assertMayCreate(type);
  await assertMayChange(deps, viewer, others.length + 1);
  await assertMayIntroduce(deps, viewer, others);

  const id = uuidv7();
  const key = type === 'DIRECT' ? directKey(viewer.userId, others) : null;
  const what = `room ${key ?? id}`;
  // The change keeps its turn, because no other transaction can hold a new room.
  const creator = { user: viewer.userId };
  const { created, entries, room } = await change(db, what, creator, toSelection(request, limits), (writer) =>
    create(writer, {
      id,
      type,
      name,
      directKey: key,
      creatorId: viewer.userId,
      memberIds: [viewer.userId, ...others],
      messageId: uuidv7(),
      isVouched: deps.userDirectory,
      language: deps.language,
    }),
  );

  feeds.publish(entries);
  return { room: found(room), created };
}

export async function renameRoom(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; name: string },
  request: RoomRequest,
): Promise<{ room: Room }> {
  return updateRoom(deps, viewer, input, request);
}

export interface UpdateRoomInput {
  readonly roomId: string;
  readonly name?: string | null | undefined;
  /** Null removes the picture. */
  readonly imageUrl?: string | null | undefined;
  /** An uploaded picture, in place of `imageUrl`. */
  readonly imageId?: string | null | undefined;
}

/** Changes the name, the picture, or both; absent fields stay as they are. */
export async function updateRoom(
  deps: Deps,
  viewer: Viewer,
  { roomId, ...input }: UpdateRoomInput,
  request: RoomRequest,
): Promise<{ room: Room }> {
  const name = input.name == null ? undefined : parseName(input.name, 'name');
  const { imageUrl } = input;
  if (imageUrl != null) assertHttpsUrl(imageUrl, 'imageUrl');
  const imageId = input.imageId == null ? undefined : parseUuid(input.imageId, 'imageId');
  if (imageId !== undefined) {
    if (imageUrl !== undefined) throw new ChatError('BAD_USER_INPUT', 'Give imageUrl or imageId, not both');
    await awaitPicture(deps, viewer, imageId);
  }
  const named = { name, imageUrl, imageId, imageMessageId: uuidv7() };
  return changeRoom(deps, viewer, { roomId, request }, (db, change) => update(db, change, named));
}

interface RoomChange {
  readonly roomId: string;
  readonly request: RoomRequest;
  /** How many users it names. */
  readonly named?: number;
  readonly isRemoval?: boolean;
  /** Checks a limit of its own, once the change may be made otherwise: a refused change must not count. */
  readonly assertMore?: () => Promise<void>;
}

/** Returns the room right after the change, so that a viewer who is removed afterwards still gets the answer. */
export async function changeRoom(
  deps: Deps,
  viewer: Viewer,
  { roomId: roomIdText, request, named, isRemoval = false, assertMore }: RoomChange,
  write: (db: Writer, change: MembershipChange) => Promise<LogWrite>,
): Promise<{ room: Room }> {
  const { db, feeds, names, limits, language, onHeldUp } = deps;
  const roomId = parseUuid(roomIdText, 'roomId');
  const changer = { user: viewer.userId, onHeldUp };
  const selection = toSelection(request, limits, roomId);
  await (isRemoval ? assertMayChange(deps, viewer) : assertMayAppend(deps, viewer, named));
  await assertMore?.();

  const { outcome, entries, renamed, room } = await change(db, `room ${roomId}`, changer, selection, async (writer) => {
    const written = await write(writer, { roomId, actorId: viewer.userId, messageId: uuidv7(), language });
    return { ...written, roomId: isDone(written.outcome) ? roomId : null };
  });
  assertAllowed(outcome);

  if (renamed !== undefined) names.announce(renamed);
  feeds.publish(entries);
  return { room: found(room) };
}

/** Moves the viewer's read mark forward to the message, never back. Returns the room right after it, with the unread count if selected. */
export async function markRead(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; messageId: string },
  { parts }: Pick<RoomRequest, 'parts'>,
): Promise<{ room: Room }> {
  const { db, feeds, onHeldUp } = deps;
  const roomId = parseUuid(input.roomId, 'roomId');
  const messageId = parseUuid(input.messageId, 'messageId');
  await assertMayChange(deps, viewer);

  const isCounted = parts.includes('unreadCount');
  const { outcome, member, room } = await mark(db, { roomId, userId: viewer.userId, messageId, isCounted, onHeldUp });
  assertAllowed(outcome);

  if (outcome === 'OK' && member !== null) feeds.publishState(readMark, member);
  return { room: found(room) };
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
  return parseName(name, 'name');
}

const directKey = (userId: number, [otherId = 0]: readonly number[]): string =>
  `${Math.min(userId, otherId)}:${Math.max(userId, otherId)}`;
