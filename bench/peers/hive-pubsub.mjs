import { NATSJetStreamPubSub } from '@graphql-hive/pubsub/nats-jetstream';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { createSchema } from 'graphql-yoga';
import { serveYoga } from './graphql-server.mjs';
import { createMessage, typeDefs } from './message.mjs';

/** graphql-yoga with Hive's PubSub over NATS JetStream, over graphql-ws. */
const { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: pass, BENCH_STREAM: stream } = process.env;
const connection = await connect({ servers, user, pass });
const manager = await jetstreamManager(connection);
await manager.streams.add({ name: stream, subjects: [`${stream}.*`], max_age: 300_000_000_000 });
const js = jetstream(connection);
const client = {
  publish: (...args) => js.publish(...args),
  // A list of one subject needs nats-server 2.10; every version accepts the subject as a string.
  consumers: {
    get: (name, options) => js.consumers.get(name, { ...options, filter_subjects: options.filter_subjects[0] }),
  },
};
const pubsub = new NATSJetStreamPubSub(client, { subjectPrefix: `${stream}.room`, stream });

serveYoga(
  createSchema({
    typeDefs,
    resolvers: {
      Query: { ok: () => true },
      Mutation: {
        sendMessage: async (_root, { input: { roomId, content } }) => {
          const message = createMessage(content);
          await pubsub.publish(roomId, message);
          return { message };
        },
      },
      Subscription: {
        messageAdded: {
          subscribe: (_root, { roomId }) => pubsub.subscribe(roomId),
          resolve: ({ data }) => data,
        },
      },
    },
  }),
);
