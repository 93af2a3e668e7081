import { typingExpiresInMs } from '../domain/typing.js';
import type { Limits as LimitsShape } from '../resolvers/deps.js';
import { builder } from './builder.js';

const Limits = builder.objectRef<LimitsShape>('Limits').implement({
  description: 'The limits of this server, so that clients need no constants of their own.',
  fields: (t) => ({
    maxContentLength: t.exposeInt('maxContentLength', {
      description: 'The maximum length of a message, in code points.',
    }),
    maxRoomMembers: t.exposeInt('maxRoomMembers', { description: 'The maximum number of members of one room.' }),
    maxPageSize: t.exposeInt('maxPageSize', { description: 'The maximum value of first and last.' }),
    typingExpiresInMs: t.int({
      description: 'A typing signal expires after this time; repeat it earlier.',
      resolve: () => typingExpiresInMs,
    }),
    maxWatchedUsers: t.exposeInt('maxWatchedUsers', {
      description: 'The maximum number of users in one presence subscription.',
    }),
    maxSubscriptionsPerSocket: t.exposeInt('maxSubscriptionsPerSocket', {
      description: 'The maximum number of open subscriptions of one WebSocket; the next one is RATE_LIMITED.',
    }),
    maxSocketsPerUser: t.exposeInt('maxSocketsPerUser', {
      description:
        'The maximum number of open WebSockets and HTTP streams of a user on one server instance, all devices together.',
    }),
    sendsPerMinute: t.exposeInt('sendsPerMinute', {
      description: 'How many messages a user may send in a minute; beyond it, sendMessage is RATE_LIMITED.',
    }),
  }),
});

builder.queryField('limits', (t) =>
  t.field({
    type: Limits,
    description: 'The limits of this server.',
    resolve: (_root, _args, { deps }) => deps.limits,
  }),
);
