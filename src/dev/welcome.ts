import { type Config, defaultDataDir } from '../config.js';

/** Prints the addresses of the embedded server, the demo's users, and how to stop it. */
export function printWelcome(
  { host, dataDir, graphiql, webApp }: Pick<Config, 'host' | 'dataDir' | 'graphiql' | 'webApp'>,
  port: number,
): void {
  const shown = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  const address = `${shown}:${port}`;
  const ofFolder = dataDir === defaultDataDir ? '' : `DATA_DIR=${dataDir} `;
  process.stdout.write(`
  Fairway is ready.
${webApp.isServed ? `\n    The chat               http://${address}/` : ''}
    ${graphiql ? 'GraphiQL and GraphQL' : 'GraphQL             '}   http://${address}/graphql
    Subscriptions          ws://${address}/graphql
    Demo users             김철수 (4)  이영희 (5)  박영희 (6)  최민수 (7)
    A token for one        ${ofFolder}npm run token -- --user 4

  Ctrl-C stops it; everything is kept.

`);
}
