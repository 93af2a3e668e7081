import type { Room as RoomRow } from '../db/rooms.js';
import type { InboxEvent as Event } from '../domain/inbox.js';
import { watchInbox } from '../resolvers/inbox.js';
import { builder } from './builder.js';
import { Room } from './room.js';

const InboxEventKind = builder.enumType('InboxEventKind', {
  description: "What happened to the viewer's rooms.",
  values: {
    READY: { description: 'Every change from here on is delivered: query rooms now.' },
    ROOM_CHANGED: {
      description: 'The room is new to the viewer or changed. It comes as it is now, at most once per room and 250 ms.',
    },
    ROOM_REMOVED: { description: 'The viewer is no longer a member: take the room off the list.' },
  },
});

const InboxEvent = builder.objectRef<Event<RoomRow>>('InboxEvent').implement({
  description: "A change of the viewer's rooms.",
  fields: (t) => ({
    kind: t.expose('kind', { type: InboxEventKind, description: 'What happened.' }),
    roomId: t.id({
      nullable: true,
      description: 'Which room; null with READY.',
      resolve: (event) => (event.kind === 'READY' ? null : event.roomId),
    }),
    room: t.field({
      type: Room,
      nullable: true,
      description: 'The room as it is now; with ROOM_CHANGED only.',
      resolve: (event) => (event.kind === 'ROOM_CHANGED' ? event.room : null),
    }),
  }),
});

builder.subscriptionField('inboxEvents', (t) =>
  t.field({
    type: InboxEvent,
    description: `All the viewer's rooms, for a list and its badges. READY comes first. ROOM_CHANGED tells of a message, an edit,
a deletion, a rename, members, a member's new name that the list shows and the viewer's own read mark; at most once per room and 250 ms, with the newest state.`,
    subscribe: (_root, _args, { deps, viewer }) => watchInbox(deps, viewer),
    resolve: (event) => event,
  }),
);
