import { createRequire } from 'node:module';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** Files that measure times, or what a busy neighbour would slow down; and the one that builds everything anew. */
const measuring = [
  ...[
    'bystander',
    'fair-turns',
    'file-reading',
    'files-s3',
    'floods',
    'http-streams',
    'inbox-mix',
    'launch',
    'overload',
    'own-limits',
    'presence-load',
    'removal',
    'slow-database',
    'slow-subscriber',
    'subscribe-anytime',
    'unread-answers',
  ].map((name) => `test/e2e/${name}.test.ts`),
  // What it counts depends on the open transactions of other databases, which PostgreSQL keeps old versions of rows for.
  'test/integration/hot-updates.test.ts',
];

/** Relay's tags become imports of what its compiler made of them; in an app, a plugin for Babel, SWC or Vite does this. */
const relayTags = {
  name: 'relay-tags',
  enforce: 'pre' as const,
  transform(code: string, id: string) {
    if (!id.includes('/clients/relay/')) return undefined;
    const imports: string[] = [];
    const tagless = code.replaceAll(/graphql`\s*\w+ (\w+)[^`]*`/g, (_tag, name) => {
      imports.push(`import ${name}_artifact from './__generated__/${name}.graphql.ts';`);
      return `${name}_artifact`;
    });
    return { code: imports.join(' ') + tagless, map: null };
  },
};

const project = (test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  // Two copies of graphql refuse each other's schemas: everything takes the one that Node resolves, as in production.
  plugins: [relayTags],
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve('graphql') }] },
  test: {
    pool: 'forks',
    // Far beyond what the slowest test takes: waits have limits of their own, with a name for what they wait for.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 90_000 } },
    ...test,
  },
});

export default defineConfig({
  test: {
    // Of the run, not of a project: one PostgreSQL for all.
    globalSetup: ['test/support/global-setup.ts'],
    teardownTimeout: 30_000,
    projects: [
      project({
        name: 'together',
        include: ['test/**/*.test.ts', 'client/test/**/*.test.ts', 'web/test/**/*.test.ts'],
        exclude: measuring,
        // Most of them wait most of the time: for clocks, leases, lapses, and answers.
        maxWorkers: 3,
        sequence: { groupOrder: 0 },
      }),
      project({ name: 'alone', include: measuring, fileParallelism: false, sequence: { groupOrder: 1 } }),
    ],
  },
});
