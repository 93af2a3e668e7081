import type { RoomEvent as Event } from '../domain/room-event.js';
import { type ReadDelivery as Delivery, watchRoom } from '../resolvers/room-events.js';
import { builder } from './builder.js';

const typeNames = new Map<Event['kind'], string>();

export const RoomEvent = builder.interfaceRef<Event>('RoomEvent').implement({
  description: "One entry of a room's log, or a signal about it.",
  resolveType: ({ kind }) => typeNames.get(kind),
  fields: (t) => ({
    seq: t.exposeInt('seq', {
      description: "The position of the room's log after this event. Resume with the newest one as afterSeq.",
    }),
    epoch: t.exposeID('epoch', {
      description: 'The epoch of the log in which seq is a position. Resume with the newest one as epoch.',
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
    'The replay has ended: events are live from now on. Sent once, and again when the epoch of the log changes.',
});

builder.objectType(roomEventRef('resync', 'RoomResync'), {
  interfaces: [RoomEvent],
  description: `The client may hold entries that are no longer part of this room's log (after a restored backup or a failover), or
afterSeq was never a position of it: load the room again.`,
});

/** The description of the argument `epoch`, which belongs to `afterSeq`. */
export const epochDescription =
  'The epoch of the log in which afterSeq is a position: the epoch of the newest event, or Room.epoch. The replay starts there only if the log still has the entries of the client.';

const ReadDelivery = builder.enumType('ReadDelivery', {
  description: 'How a subscription gets the read marks of a room.',
  values: {
    EACH: { description: "A MemberRead for each member's newest mark, at most one a second for each member." },
    BATCHED: {
      description:
        'A MembersRead with all marks that moved, at most one a second. Best for rooms of about ten members or more.',
    },
    NONE: { description: 'No read marks.' },
  } satisfies Record<Delivery, object>,
});

builder.subscriptionFields((t) => ({
  roomEvents: t.field({
    type: RoomEvent,
    description: `All events of one room, in the order of its log, each entry once. With afterSeq it first replays the
entries after that position, however old, and then continues live without a gap.
Ends with FORBIDDEN when the viewer's membership ends.`,
    args: {
      roomId: t.arg.id({ required: true, description: 'The room.' }),
      afterSeq: t.arg.int({ description: 'The newest seq that the client has; absent, events are live only.' }),
      epoch: t.arg.id({ description: epochDescription }),
      reads: t.arg({
        type: ReadDelivery,
        defaultValue: 'EACH',
        description: 'How read marks are sent. Each comes after the message that it refers to; none is replayed.',
      }),
    },
    subscribe: (_root, args, { deps, viewer, isBehind }) => watchRoom(deps, viewer, args, isBehind),
    resolve: (event) => event,
  }),
}));
