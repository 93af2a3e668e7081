import { createRequire } from 'node:module';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** Files that wait for clocks, leases and lapses most of the time, and measure nothing that a neighbour could spoil. */
const patient = [
  'presence',
  'presence-loss',
  'typing',
  'typing-order',
  'live-state',
  'inbox-loss',
  'vanished-peer',
  'slow-request',
].map((name) => `test/e2e/${name}.test.ts`);

const project = (test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  // Two copies of graphql refuse each other's schemas: everything takes the one that Node resolves, as in production.
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve('graphql') }] },
  test: {
    pool: 'forks',
    // Far beyond what the slowest test takes: waits have limits of their own, with a name for what they wait for.
    testTimeout: 300_000,
    hookTimeout: 300_000,
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
        name: 'alone',
        include: ['test/**/*.test.ts'],
        exclude: patient,
        // Tests that start servers and measure times share the machine with nobody but themselves.
        fileParallelism: false,
        sequence: { groupOrder: 1 },
      }),
    ],
  },
});
