import type { CodegenConfig } from '@graphql-codegen/cli';

/** Types for every operation of the end-to-end tests, so that schema, operations and tests cannot drift apart. */
const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: ['test/e2e/**/*.ts', 'test/support/**/*.ts', '!test/e2e/generated/**'],
  generates: {
    'test/e2e/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: 'string',
        useTypeImports: true,
        enumsAsTypes: true,
        scalars: { DateTime: 'string', ID: 'string' },
      },
    },
  },
  importExtension: '.js',
  ignoreNoDocuments: true,
};

export default config;
