import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { root } from './run-command.mjs';

/**
 * What each folder of `src` may import beside itself and the folders inside it, and the packages that no other folder
 * imports. A folder that is not named follows the rule of the one around it. Files directly in `src` and those in
 * `commands` put the rest together: they import any folder.
 * @type {Record<string, { imports: string[], owns?: string[] }>}
 */
const rules = {
  domain: { imports: [] },
  auth: { imports: ['domain'], owns: ['jose'] },
  db: { imports: ['domain'], owns: ['@prisma', 'pg'] },
  'pubsub/nats': { imports: ['domain'], owns: ['@nats-io'] },
  'pubsub/live': { imports: ['pubsub/nats', 'domain'] },
  'pubsub/live/room': { imports: ['pubsub/live', 'pubsub/nats', 'domain'] },
  'pubsub/live/presence': { imports: ['pubsub/live', 'pubsub/nats', 'domain'] },
  'pubsub/live/typing': { imports: ['pubsub/live/room', 'pubsub/live', 'pubsub/nats', 'domain'] },
  'pubsub/live/inbox': {
    imports: ['pubsub/live/room', 'pubsub/live/presence', 'pubsub/live', 'pubsub/nats', 'domain'],
  },
  resolvers: { imports: ['db', 'pubsub', 'domain'] },
  schema: { imports: ['resolvers', 'db', 'pubsub', 'domain'], owns: ['@pothos', 'graphql'] },
  backends: { imports: ['resolvers', 'db', 'pubsub', 'domain'] },
  'server/graphql': { imports: ['schema', 'resolvers', 'db', 'pubsub', 'auth', 'domain'], owns: ['graphql'] },
  'server/ws': { imports: ['server/graphql', 'schema', 'resolvers', 'db', 'pubsub', 'auth', 'domain'] },
  'server/http': { imports: ['server/ws', 'server/graphql', 'schema', 'resolvers', 'db', 'pubsub', 'auth', 'domain'] },
  server: {
    imports: ['schema', 'resolvers', 'db', 'pubsub', 'auth', 'domain'],
    owns: ['graphql-yoga', '@graphql-yoga', 'graphql-ws', 'ws', 'node:http', 'node:http2', 'graphql'],
  },
  dev: { imports: ['config', 'server/http', 'db', 'auth', 'domain'], owns: ['node:http'] },
};

const importPattern = /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'/g;

/** @returns {string} each import that the rules forbid, one a line */
export function findForbiddenImports() {
  const problems = [];
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    const path = file.replaceAll('\\', '/');
    const from = folderOf(path);
    if (!path.endsWith('.ts') || from === undefined) continue;
    for (const [, named, dynamic] of readFileSync(join(root, 'src', path), 'utf8').matchAll(importPattern)) {
      const target = named ?? dynamic ?? '';
      const problem = target.startsWith('.') ? refuseFolder(path, from, target) : refusePackage(from, target);
      if (problem !== '') problems.push(`src/${path}: ${problem}`);
    }
  }
  return problems.join('\n');
}

/** @type {(path: string, from: string, target: string) => string} */
function refuseFolder(path, from, target) {
  const to = posix.join(posix.dirname(path), target).replace(/\.js$/, '');
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
