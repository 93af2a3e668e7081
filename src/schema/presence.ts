import type { Presence as PresenceShape } from '../domain/presence.js';
import { loadPresence, loadShownUser } from '../resolvers/loaders.js';
import { watchPresence } from '../resolvers/presence.js';
import { builder } from './builder.js';
import { ofViewer } from './of-viewer.js';
import { User } from './user.js';

const PresenceStatus = builder.enumType('PresenceStatus', {
  description: 'Whether a user is there.',
  values: {
    ONLINE: { description: 'At least one device is connected, or was ten seconds ago.' },
    OFFLINE: { description: 'No device is connected.' },
  },
});

const Presence = builder.objectRef<PresenceShape>('Presence').implement({
  description: 'Whether a user is there, and since when not.',
  fields: (t) => ({
    user: t.field({
      ...ofViewer,
      type: User,
      description: 'Whose presence it is; by number alone where the viewer may not know of them.',
      resolve: ({ userId }, _args, { deps, viewer }) => loadShownUser(deps, viewer, userId),
    }),
    status: t.expose('status', {
      type: PresenceStatus,
      description: 'ONLINE while at least one device, on any server instance, is connected.',
    }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last device went away; null while online or if never seen.',
    }),
  }),
});

builder.objectField(User, 'presence', (t) =>
  t.field({
    ...ofViewer,
    type: Presence,
    // Looked up for each pair of viewer and user, in all rooms of both.
    complexity: 8,
    description: 'Whether they are there. Of users with whom the viewer shares no room nothing is told: OFFLINE.',
    resolve: ({ id }, _args, { deps, viewer }) => loadPresence(deps, viewer, id),
  }),
);

builder.subscriptionField('presence', (t) =>
  t.field({
    type: Presence,
    description: `The present state of each user first, then every change. Only users who share a room with the viewer: OFFLINE when the last one ends.
Told once more when the user's name changes.
A state that was superseded before the client took it is not told.`,
    args: { userIds: t.arg.idList({ required: true, description: "Users' numbers, at most limits.maxWatchedUsers." }) },
    subscribe: (_root, args, { deps, viewer, isBehind }) => watchPresence(deps, viewer, args, isBehind),
    resolve: (presence) => presence,
  }),
);
