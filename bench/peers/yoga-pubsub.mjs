import { createPubSub, createSchema } from 'graphql-yoga';
import { serveYoga } from './graphql-server.mjs';
import { createMessage, typeDefs } from './message.mjs';

/** graphql-yoga with its own PubSub, over graphql-ws. */
const pubsub = createPubSub();
serveYoga(
  createSchema({
    typeDefs,
    resolvers: {
      Query: { ok: () => true },
      Mutation: {
        sendMessage: (_root, { input: { roomId, content } }) => {
          const message = createMessage(content);
          pubsub.publish(`room:${roomId}`, message);
          return { message };
        },
      },
      Subscription: {
        messageAdded: {
          subscribe: (_root, { roomId }) => pubsub.subscribe(`room:${roomId}`),
          resolve: (message) => message,
        },
      },
    },
  }),
);
