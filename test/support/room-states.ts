import type { RoomEvent } from '../../src/domain/room-event.js';
import type { RoomState, StateKind } from '../../src/pubsub/live/room/room-states.js';

/** A state that Fairway does not have: it refers to no entry of the log. */
export interface Nickname extends RoomState {
  readonly userId: number;
  readonly nickname: string;
  /** The higher one is newer. */
  readonly revision: number;
}

/** A second kind of state beside the read marks, with the same keys. */
export const nickname: StateKind<Nickname> = {
  name: 'nickname',
  subject: (roomId) => `chat.room.${roomId}.nickname`,
  otherSubjects: () => [],
  encode: (state) => new TextEncoder().encode(JSON.stringify(state)),
  decode: (body) => JSON.parse(new TextDecoder().decode(body)) as Nickname,
  key: ({ userId }) => userId,
  isNewer: (state, than) => state.revision > than.revision,
  seq: () => 0,
  load: async () => [],
  event: (state, position) => ({ kind: 'nickname', ...position, state }) as unknown as RoomEvent,
  batch: (states, position) => ({ kind: 'nicknames', ...position, states }) as unknown as RoomEvent,
};
