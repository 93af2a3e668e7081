import { createRequire } from 'node:module';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** Files that wait for clocks, leases and lapses most of the time, and measure nothing that a neighbour could spoil. */
const patient = [
  ...[
    'booking-events',
    'clocks',
    'database-trouble',
    'failover',
    'inbox',
    'inbox-loss',
    'instance-loss',
    'live-state',
    'locked-rooms',
    'name-loss',
    'name-news',
    'nats-loss',
    'presence',
    'presence-loss',
    'restore',
    'slow-database',
    'slow-request',
    'start',
    'state-loss',
    'streams',
    'typing',
    'typing-order',
    'vanished-peer',
    'workers',
  ].map((name) => `test/e2e/${name}.test.ts`),
  ...['consumer', 'nats-pub-sub'].map((name) => `test/integration/${name}.test.ts`),
  'client/test/e2e/*.test.ts',
  'web/test/e2e/*.test.ts',
];
/** Files that start no instances: they count, and do not measure times. */
const quick = [
  'test/unit/**/*.test.ts',
  'test/integration/**/*.test.ts',
  'client/test/*.test.ts',
  'web/test/*.test.ts',
];
/** What they count depends on the open transactions of other databases, which PostgreSQL keeps old versions of rows for. */
const undisturbed = ['test/integration/hot-updates.test.ts'];

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
      project({ name: 'patient', include: patient, maxWorkers: 3, sequence: { groupOrder: 0 } }),
      project({
        name: 'quick',
        include: quick,
        exclude: [...patient, ...undisturbed],
        maxWorkers: 2,
        sequence: { groupOrder: 1 },
      }),
      project({
        name: 'alone',
        include: ['test/e2e/**/*.test.ts', ...undisturbed],
        exclude: patient,
        // Tests that start servers and measure times share the machine with nobody but themselves.
        fileParallelism: false,
        sequence: { groupOrder: 2 },
      }),
    ],
  },
});
