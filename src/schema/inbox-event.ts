import type { Room as RoomRow } from '../db/rooms.js';
import type { InboxEvent as Event } from '../domain/inbox.js';
import { watchInbox } from '../resolvers/inbox.js';
import { builder } from './builder.js';
import { Room, toRoomInside } from './room.js';

const InboxEventKind = builder.enumType('InboxEventKind', {
  description: "The kind of a change of the viewer's rooms.",
  values: {
    READY: { description: 'Every change from now on is delivered: query rooms now.' },
    ROOM_CHANGED: {
      description:
        'The viewer joined the room, or the room changed. It is sent as it is now, at most once per room in 250 ms, under load in up to 5 seconds.',
    },
    ROOM_REMOVED: { description: 'The viewer is no longer a member: remove the room from the list.' },
  },
});

const InboxEvent = builder.objectRef<Event<RoomRow>>('InboxEvent').implement({
  description: "A change of the viewer's rooms.",
  fields: (t) => ({
    kind: t.expose('kind', { type: InboxEventKind, description: 'The kind of the change.' }),
    roomId: t.id({
      nullable: true,
      description: 'The room; null for READY.',
      resolve: (event) => (event.kind === 'READY' ? null : event.roomId),
    }),
    room: t.field({
      type: Room,
      nullable: true,
      description: 'The room as it is now; for ROOM_CHANGED only.',
      resolve: (event) => (event.kind === 'ROOM_CHANGED' ? event.room : null),
    }),
  }),
});

builder.subscriptionField('inboxEvents', (t) =>
  t.field({
    type: InboxEvent,
    description: `Changes of all the viewer's rooms, for a room list and its badges. READY comes first. ROOM_CHANGED follows a message, an edit,
a deletion, a rename, a change of members, a new name of a member that the list shows, and a move of the viewer's own read mark. It is sent at most once per room in 250 ms, under load in up to 5 seconds, with the newest state.`,
    subscribe: (_root, _args, context, info) => watchInbox(context.deps, context.viewer, toRoomInside(context, info)),
    resolve: (event) => event,
  }),
);
