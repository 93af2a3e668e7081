/**
 * Imports parts of Fairway that the bench uses, from the build that it measures, with the types of the source.
 * @param {string} path in dist
 */
const load = (path) => import(new URL(`../../dist/${path}`, import.meta.url).href);

export const { signToken } = /** @type {typeof import('../../src/auth/sign-token.js')} */ (
  await load('auth/sign-token.js')
);
export const { cursorOfMessage } = /** @type {typeof import('../../src/db/messages.js')} */ (
  await load('db/messages.js')
);
export const { migrate } = /** @type {typeof import('../../src/db/migrate.js')} */ (await load('db/migrate.js'));
export const { startEmbeddedServers } = /** @type {typeof import('../../src/dev/embedded/embedded-servers.js')} */ (
  await load('dev/embedded/embedded-servers.js')
);
export const { startNatsServer } = /** @type {typeof import('../../src/dev/embedded/nats-server.js')} */ (
  await load('dev/embedded/nats-server.js')
);
export const { Decoder } = /** @type {typeof import('../../src/files/decoder.js')} */ (await load('files/decoder.js'));
