import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { root } from './run-command.mjs';

/**
 * The purpose of each folder of `src`, the folders that it may import beside itself and its own subfolders, and the packages
 * that only it imports. A folder without a rule follows the rule of its parent. Files directly in `src` and in `commands`
 * may import any folder, but no package of one.
 * @type {Record<string, { does: string, imports: string[], owns?: string[] }>}
 */
const rules = {
  domain: { does: 'types and pure functions, errors', imports: [] },
  auth: { does: 'a token becomes a viewer', imports: ['domain'], owns: ['jose'] },
  db: {
    does: "SQL: one codec for each kind of row, named queries, the room log's functions, migrations",
    imports: ['domain'],
    owns: ['@prisma', 'pg'],
  },
  'pubsub/nats': {
    does: 'the connection, subjects, streams, encoding, acknowledgements, requests of backends, consumers of their events',
    imports: ['domain'],
    owns: ['@nats-io'],
  },
  'pubsub/live': { does: 'shared by the four folders below', imports: ['pubsub/nats', 'domain'] },
  'pubsub/live/room': {
    does: 'the feed of a room and its states, the cursor of a subscriber, the outbox',
    imports: ['pubsub/live', 'pubsub/nats', 'domain'],
  },
  'pubsub/live/presence': {
    does: 'connections of users, which make them online, and the watchers of presence',
    imports: ['pubsub/live', 'pubsub/nats', 'domain'],
  },
  'pubsub/live/typing': {
    does: 'typing signals and their watchers',
    imports: ['pubsub/live/room', 'pubsub/live', 'pubsub/nats', 'domain'],
  },
  'pubsub/live/inbox': {
    does: "changes of a viewer's rooms, for the watchers of inboxes",
    imports: ['pubsub/live/room', 'pubsub/live/presence', 'pubsub/live', 'pubsub/nats', 'domain'],
  },
  files: {
    does: 'the storage of files, what is accepted, thumbnails, signed addresses',
    imports: ['domain'],
    owns: ['sharp', 'file-type', 'thumbhash', 'aws4fetch', '@rgrove/parse-xml'],
  },
  resolvers: {
    does: 'the business logic: validate, authorize, write, publish, return',
    imports: ['db', 'pubsub', 'files', 'domain'],
  },
  schema: {
    does: "the GraphQL types, fields and descriptions; a field's body is one call",
    imports: ['resolvers', 'db', 'pubsub', 'files', 'domain'],
    owns: ['@pothos', 'graphql'],
  },
  backends: {
    does: 'requests of other backends and events of the booking system: payloads, answers',
    imports: ['resolvers', 'db', 'pubsub', 'domain'],
  },
  upkeep: {
    does: 'the loops and consumers that bring the work on files to the business logic',
    imports: ['resolvers', 'db', 'pubsub', 'domain'],
  },
  server: {
    does: 'metrics, and the three folders below',
    imports: ['schema', 'resolvers', 'db', 'pubsub', 'files', 'auth', 'domain'],
    owns: ['graphql-yoga', 'graphql-ws', 'ws', 'find-my-way', '@fastify', 'node:http', 'node:http2', 'graphql'],
  },
  'server/graphql': {
    does: 'the engine: parsing, validation, execution, shared execution of events, masking of errors; its `limits` bound the cost of a user and of a document',
    imports: ['schema', 'resolvers', 'db', 'pubsub', 'files', 'auth', 'domain'],
    owns: ['graphql'],
  },
  'server/ws': {
    does: 'sockets of graphql-transport-ws: frames, close codes, timeouts',
    imports: ['server/graphql', 'schema', 'resolvers', 'db', 'pubsub', 'auth', 'domain'],
  },
  'server/http': {
    does: 'the table of routes and what serves them, static files, bodies, streams, origins, GraphiQL',
    imports: ['server/ws', 'server/graphql', 'schema', 'resolvers', 'db', 'pubsub', 'files', 'auth', 'domain'],
  },
  workers: {
    does: 'several processes on one port: started, replaced and stopped by the primary process; the number of cores',
    imports: ['config', 'domain'],
    owns: ['node:cluster'],
  },
  dev: {
    does: 'nothing that production needs: the PostgreSQL and the nats-server that `npm start` brings (`embedded`), the demo, the development login',
    imports: ['config', 'server/http', 'db', 'files', 'auth', 'domain'],
    owns: ['node:http'],
  },
};

/** The folders with their rows in ARCHITECTURE.md. */
export const folders = Object.entries(rules).map(([folder, { does, owns = [] }]) => ({ folder, does, owns }));

const generatedFolder = 'db/generated';
/** Pothos needs the types of the models. */
const allowedGenerated = { path: 'schema/builder.ts', to: 'db/generated/pothos' };

const importPattern =
  /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s+'([^']+)'|(?:^|\n)import\s+'([^']+)'|\bimport\(\s*'([^']+)'/g;

/** The tag of a statement (`query` of db/connection.ts), Prisma's raw queries, and text that begins as a statement does. */
const sqlPattern =
  /\bquery\s*(?:<[^;()]*>)?\s*`|\$(?:query|execute)Raw|['"`]\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|CALL|TRUNCATE|LOCK)\s/;

/** They use each other by their packages' names alone, and the server not at all. */
const workspaces = ['client/src', 'web/src'];

/** @returns {string} the violations of the rules, one per line: imports, and SQL outside `src/db` */
export function findForbiddenImports() {
  const problems = workspaces.flatMap(findEscapes);
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    const path = file.replaceAll('\\', '/');
    if (!path.endsWith('.ts')) continue;
    const text = readFileSync(join(root, 'src', path), 'utf8');
    const targets = [...text.matchAll(importPattern)].map(
      ([, ...found]) => found.find((name) => name !== undefined) ?? '',
    );
    const refusals = targets.map((target) => refuseImport(path, target));
    if (!path.startsWith('db/') && sqlPattern.test(text)) refusals.push('only db has SQL');
    problems.push(...refusals.filter((refusal) => refusal !== '').map((refusal) => `src/${path}: ${refusal}`));
  }
  return problems.join('\n');
}

/** @type {(folder: string) => string[]} */
function findEscapes(folder) {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => /\.tsx?$/.test(file))
    .flatMap((file) => {
      const path = posix.join(folder, file.replaceAll('\\', '/'));
      return [...readFileSync(join(root, path), 'utf8').matchAll(importPattern)]
        .map(([, ...found]) => found.find((name) => name !== undefined) ?? '')
        .filter((target) => target.startsWith('.') && !posix.join(posix.dirname(path), target).startsWith(`${folder}/`))
        .map((target) => `${path}: ${folder} is a package of its own (${target})`);
    });
}

/** @type {(path: string, target: string) => string} */
function refuseImport(path, target) {
  const from = folderOf(path);
  if (!target.startsWith('.')) return refusePackage(from ?? 'src', target);
  const to = posix.join(posix.dirname(path), target).replace(/\.js$/, '');
  const isAllowed = from === 'db' || (path === allowedGenerated.path && to === allowedGenerated.to);
  if (to.startsWith(`${generatedFolder}/`) && !isAllowed) return `only db imports ${generatedFolder} (${target})`;
  return from === undefined ? '' : refuseFolder(from, to, target);
}

/** @type {(from: string, to: string, target: string) => string} */
function refuseFolder(from, to, target) {
  const allowed = [from, ...(rules[from]?.imports ?? [])];
  if (allowed.some((name) => `${to}/`.startsWith(`${name}/`))) return '';
  return `${from} does not import ${folderOf(to) ?? 'the composition'} (${target})`;
}

/** @type {(from: string, target: string) => string} */
function refusePackage(from, target) {
  const owners = Object.keys(rules).filter((folder) =>
    rules[folder]?.owns?.some((name) => target === name || target.startsWith(`${name}/`)),
  );
  if (owners.length === 0 || owners.some((owner) => `${from}/`.startsWith(`${owner}/`))) return '';
  return `only ${owners.join(' and ')} import ${target}`;
}

/** @type {(path: string) => string | undefined} the innermost folder that has a rule */
function folderOf(path) {
  const folders = Object.keys(rules).filter((folder) => path.startsWith(`${folder}/`));
  return folders.sort((a, b) => b.length - a.length)[0];
}
