import { createServer } from 'node:http';
import { useServer } from 'graphql-ws/use/ws';
import { createYoga } from 'graphql-yoga';
import { WebSocketServer } from 'ws';
import { tellReady } from './message.mjs';

/** graphql-yoga with graphql-ws on the same port, as in yoga's documentation. */
export function serveYoga(schema, { context = {} } = {}) {
  const yoga = createYoga({ schema, context, logging: 'warn', graphiql: false, maskedErrors: false });
  const http = createServer(yoga);
  useServer(
    {
      execute: (args) => args.rootValue.execute(args),
      subscribe: (args) => args.rootValue.subscribe(args),
      onSubscribe: async (connection, _id, params) => {
        const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
          ...connection,
          req: connection.extra.request,
          socket: connection.extra.socket,
          params,
        });
        const args = {
          schema,
          operationName: params.operationName,
          document: parse(params.query),
          variableValues: params.variables,
          contextValue: await contextFactory(),
          rootValue: { execute, subscribe },
        };
        const errors = validate(args.schema, args.document);
        return errors.length > 0 ? errors : args;
      },
    },
    new WebSocketServer({ server: http, path: '/graphql', perMessageDeflate: false }),
  );
  http.listen(0, '127.0.0.1', () => tellReady(http.address().port));
}
