import type { RoomEvent as Event } from '../domain/room-event.js';
import { watchRoom } from '../resolvers/room-events.js';
import { builder } from './builder.js';

const typeNames = new Map<Event['kind'], string>();

export const RoomEvent = builder.interfaceRef<Event>('RoomEvent').implement({
  description: "One entry of a room's log, or a signal about it.",
  resolveType: ({ kind }) => typeNames.get(kind),
  fields: (t) => ({
    seq: t.exposeInt('seq', {
      description: "Where the room's log stands with this event. The newest seen is the afterSeq to resume with.",
    }),
    epoch: t.exposeID('epoch', {
      description: 'Of the log in which seq is a position. The newest seen is the epoch to resume with.',
    }),
  }),
});

/** The GraphQL type of a kind of event. It is defined next to the type that the event is about. */
export function roomEventRef<Kind extends Event['kind']>(kind: Kind, typeName: string) {
  typeNames.set(kind, typeName);
  return builder.objectRef<Event & { readonly kind: Kind }>(typeName);
}

builder.objectType(roomEventRef('ready', 'RoomReady'), {
  interfaces: [RoomEvent],
  description:
    'The replay is over: from here on events are live. Sent once, and again when the epoch of the log has changed.',
});

builder.objectType(roomEventRef('resync', 'RoomResync'), {
  interfaces: [RoomEvent],
  description: `The client may hold entries that are no longer part of this room's log (after a restored backup or a failover), or
afterSeq never was a position of it: fetch the room again.`,
});

/** The description of the argument `epoch`, which belongs to `afterSeq`. */
export const epochDescription =
  'Of the log in which afterSeq is a position: that of the newest event, or Room.epoch. A replay is given only where what the client has is still in the log.';

builder.subscriptionFields((t) => ({
  roomEvents: t.field({
    type: RoomEvent,
    description: `All that happens in one room, in the order of its log, each entry once. With afterSeq it first
replays what came after that position, however long ago, and then goes on live without a gap.
Ends with FORBIDDEN when the viewer's membership ends.`,
    args: {
      roomId: t.arg.id({ required: true, description: 'Which room.' }),
      afterSeq: t.arg.int({ description: 'The newest seq that the client has; absent, events are live only.' }),
      epoch: t.arg.id({ description: epochDescription }),
    },
    subscribe: (_root, args, { deps, viewer }) => watchRoom(deps, viewer, args),
    resolve: (event) => event,
  }),
}));
