import fastify from 'fastify';
import mercurius from 'mercurius';
import { createMessage, tellReady, typeDefs } from './message.mjs';

/** mercurius on fastify, with its JIT and its own PubSub. */
const app = fastify();
app.register(mercurius, {
  schema: typeDefs,
  jit: 1,
  subscription: { fullWsTransport: true },
  resolvers: {
    Query: { ok: () => true },
    Mutation: {
      sendMessage: async (_root, { input: { roomId, content } }, { pubsub }) => {
        const message = createMessage(content);
        await pubsub.publish({ topic: `room:${roomId}`, payload: { messageAdded: message } });
        return { message };
      },
    },
    Subscription: {
      messageAdded: { subscribe: (_root, { roomId }, { pubsub }) => pubsub.subscribe(`room:${roomId}`) },
    },
  },
});
await app.listen({ port: 0, host: '127.0.0.1' });
tellReady(app.server.address().port);
