import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Two copies of graphql refuse each other's schemas: everything takes the one that Vite resolves.
  resolve: { dedupe: ['graphql'] },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    server: { deps: { inline: [/graphql/, /@pothos/] } },
    // Tests that start servers and measure times share the machine with nobody but themselves.
    fileParallelism: false,
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
});
