import { typingExpiresInMs } from '../domain/typing.js';
import type { Limits as LimitsShape } from '../resolvers/deps.js';
import { builder } from './builder.js';

const Limits = builder.objectRef<LimitsShape>('Limits').implement({
  description: 'What this server accepts, so that clients need no constants of their own.',
  fields: (t) => ({
    maxContentLength: t.exposeInt('maxContentLength', { description: "A message's length, in code points." }),
    maxRoomMembers: t.exposeInt('maxRoomMembers', { description: 'How many may be in one room.' }),
    maxPageSize: t.exposeInt('maxPageSize', { description: 'The most that first and last may ask for.' }),
    typingExpiresInMs: t.int({
      description: 'A typing signal lapses after this long; repeat it sooner.',
      resolve: () => typingExpiresInMs,
    }),
    maxWatchedUsers: t.exposeInt('maxWatchedUsers', {
      description: 'How many users one presence subscription may name.',
    }),
    maxSubscriptionsPerSocket: t.exposeInt('maxSubscriptionsPerSocket', {
      description: 'How many subscriptions one WebSocket may have open; the next one is RATE_LIMITED.',
    }),
    maxSocketsPerUser: t.exposeInt('maxSocketsPerUser', {
      description: 'How many WebSockets and HTTP streams a user may have open on one instance, all devices together.',
    }),
    sendsPerMinute: t.exposeInt('sendsPerMinute', { description: 'Beyond this, sendMessage is RATE_LIMITED.' }),
  }),
});

builder.queryField('limits', (t) =>
  t.field({
    type: Limits,
    description: 'What this server accepts.',
    resolve: (_root, _args, { deps }) => deps.limits,
  }),
);
