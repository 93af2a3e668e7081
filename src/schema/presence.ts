import type { Presence as PresenceShape } from '../domain/presence.js';
import { loadPresence, loadShownUser } from '../resolvers/loaders.js';
import { watchPresence } from '../resolvers/presence.js';
import { builder } from './builder.js';
import { ofViewer } from './of-viewer.js';
import { User } from './user.js';

const PresenceStatus = builder.enumType('PresenceStatus', {
  description: 'Whether a user is online.',
  values: {
    ONLINE: { description: 'The user has an open connection, or had one in the last ten seconds.' },
    OFFLINE: { description: 'The user has no connection.' },
  },
});

const Presence = builder.objectRef<PresenceShape>('Presence').implement({
  description: 'Whether a user is online, and when they were last seen.',
  fields: (t) => ({
    user: t.field({
      ...ofViewer,
      type: User,
      description: 'The user; without a name if the viewer has no access to it.',
      resolve: ({ userId }, _args, { deps, viewer }) => loadShownUser(deps, viewer, userId),
    }),
    status: t.expose('status', {
      type: PresenceStatus,
      description:
        'ONLINE while the user has at least one connection: a WebSocket or an HTTP stream, on any server instance.',
    }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last connection closed; null while online or if never seen.',
    }),
  }),
});

builder.objectField(User, 'presence', (t) =>
  t.field({
    ...ofViewer,
    type: Presence,
    // The lookup compares the rooms of the viewer with those of the user.
    complexity: 8,
    description: 'Whether the user is online. Always OFFLINE for users who share no room with the viewer.',
    resolve: ({ id }, _args, { deps, viewer }) => loadPresence(deps, viewer, id),
  }),
);

builder.subscriptionField('presence', (t) =>
  t.field({
    type: Presence,
    description: `The current state of each user who shares a room with the viewer first, then every change. Nothing is sent of the others: show them as OFFLINE. A user becomes OFFLINE when the last shared room ends.
The state is sent again when the user's name changes.
A state that a newer one replaced before the client could receive it is skipped.`,
    args: {
      userIds: t.arg.idList({
        required: true,
        description: "Users' numbers, at least one and at most limits.maxWatchedUsers.",
      }),
    },
    subscribe: (_root, args, { deps, viewer, isBehind }) => watchPresence(deps, viewer, args, isBehind),
    resolve: (presence) => presence,
  }),
);
