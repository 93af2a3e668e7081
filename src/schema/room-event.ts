import type { RoomEvent as Event } from '../domain/room-event.js';
import type { LogEntry } from '../domain/room-log.js';
import { nameAuthor } from '../resolvers/messages.js';
import { watchMessages, watchRoom } from '../resolvers/room-events.js';
import { builder } from './builder.js';
import { Message } from './message.js';
import { RoomMember } from './room-member.js';

const typeNames = {
  ready: 'RoomReady',
  resync: 'RoomResync',
  added: 'MessageAdded',
  updated: 'MessageUpdated',
  deleted: 'MessageDeleted',
  read: 'MemberRead',
} as const satisfies Record<Event['kind'], string>;

const RoomEvent = builder.interfaceRef<Event>('RoomEvent').implement({
  description: "One entry of a room's log, or a signal about it.",
  resolveType: ({ kind }) => typeNames[kind],
  fields: (t) => ({
    seq: t.exposeInt('seq', {
      description: "Where the room's log stands with this event. The newest seen is the afterSeq to resume with.",
    }),
    epoch: t.exposeID('epoch', {
      description: 'Of the log in which seq is a position. The newest seen is the epoch to resume with.',
    }),
  }),
});

builder.objectType(builder.objectRef<Event & { kind: 'ready' }>('RoomReady'), {
  interfaces: [RoomEvent],
  description:
    'The replay is over: from here on events are live. Sent once, and again when the epoch of the log has changed.',
});

builder.objectType(builder.objectRef<Event & { kind: 'resync' }>('RoomResync'), {
  interfaces: [RoomEvent],
  description: `The client may hold entries that are no longer part of this room's log (after a restored backup or a failover), or
afterSeq never was a position of it: fetch the room again.`,
});

builder.objectType(builder.objectRef<LogEntry>('MessageAdded'), {
  interfaces: [RoomEvent],
  description: 'A message was added. In a replay it comes as it is now, perhaps edited or deleted since.',
  fields: (t) => ({
    message: t.field({
      type: Message,
      description: 'The new message.',
      resolve: ({ message }, _args, { deps }) => nameAuthor(deps, message),
    }),
  }),
});

builder.objectType(builder.objectRef<LogEntry>('MessageUpdated'), {
  interfaces: [RoomEvent],
  description: 'A message was edited. A replay returns only the last change of a message.',
  fields: (t) => ({ message: t.expose('message', { type: Message, description: 'The message after the edit.' }) }),
});

builder.objectType(builder.objectRef<LogEntry>('MessageDeleted'), {
  interfaces: [RoomEvent],
  description: 'A message was deleted for everyone. A replay returns only the last change of a message.',
  fields: (t) => ({ message: t.expose('message', { type: Message, description: 'What is left of the message.' }) }),
});

builder.objectType(builder.objectRef<Event & { kind: 'read' }>('MemberRead'), {
  interfaces: [RoomEvent],
  description: "A member's read mark moved. It is not part of the log and is not replayed.",
  fields: (t) => ({
    member: t.expose('member', { type: RoomMember, description: 'Whose mark, and where it stands.' }),
  }),
});

const epochDescription =
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
  messageAdded: t.field({
    type: Message,
    description: `Only new messages, for simple clients; the same order and replay. Where the log was restored to an earlier
state, what came behind that state is brought again.`,
    args: {
      roomId: t.arg.id({ required: true, description: 'Which room.' }),
      afterSeq: t.arg.int({ description: 'The newest seq that the client has; absent, messages are live only.' }),
      epoch: t.arg.id({ description: epochDescription }),
    },
    subscribe: (_root, args, { deps, viewer }) => watchMessages(deps, viewer, args),
    resolve: ({ message }, _args, { deps }) => nameAuthor(deps, message),
  }),
}));
