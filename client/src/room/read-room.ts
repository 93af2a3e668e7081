import { FairwayError } from '../errors.js';
import {
  type MessagePageFragment,
  OpenRoomDocument,
  RoomStateDocument,
  type RoomStateFragment,
} from '../operations/generated/documents.js';
import type { Session } from '../session.js';

const pageSize = 50;
/** The read marks of rooms with more members are not followed one by one. */
const maxMembers = 100;

/** A room as it is now, with its newest messages if they were asked for. */
export interface RoomReading {
  readonly room: RoomStateFragment;
  readonly page: MessagePageFragment | undefined;
}

/** @throws {FairwayError} NOT_FOUND if the viewer is no member */
export async function readRoom(session: Session, roomId: string, withPage: boolean): Promise<RoomReading> {
  const variables = { roomId, members: Math.min(maxMembers, session.limits().maxPageSize) };
  if (!withPage) {
    const { room } = await session.connection.request(RoomStateDocument, variables);
    if (room === null) throw gone();
    return { room, page: undefined };
  }
  const { room } = await session.connection.request(OpenRoomDocument, { ...variables, count: pageSize });
  if (room === null) throw gone();
  const { messages: page, ...state } = room;
  return { room: state, page };
}

/** There is no such room, or the viewer is no member of it. */
export const gone = () => new FairwayError('NOT_FOUND', 'The viewer is no member of this room');
