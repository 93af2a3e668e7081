import type { CodegenConfig } from '@graphql-codegen/cli';

const types = {
  documentMode: 'string',
  useTypeImports: true,
  enumsAsTypes: true,
  scalars: { DateTime: 'string', ID: 'string' },
} as const;

/**
 * Types for every operation of the client, the web app and the end-to-end tests, so that schema, operations and their users cannot drift
 * apart.
 */
const config: CodegenConfig = {
  schema: 'schema.graphql',
  generates: {
    'client/src/operations/generated/documents.ts': {
      documents: ['client/src/operations/*.graphql'],
      plugins: ['typescript-operations', 'typed-document-node'],
      config: { ...types, inlineFragmentTypes: 'combine' },
    },
    // Apart: an app that sends no files does not load it.
    'client/src/operations/generated/files.ts': {
      documents: ['client/src/operations/files/*.graphql'],
      plugins: ['typescript-operations', 'typed-document-node'],
      config: { ...types, inlineFragmentTypes: 'combine' },
    },
    'web/src/operations/generated/documents.ts': {
      documents: ['web/src/operations/*.graphql'],
      plugins: ['typescript-operations', 'typed-document-node'],
      config: { ...types, inlineFragmentTypes: 'combine' },
    },
    'test/e2e/generated/': {
      documents: ['test/e2e/**/*.ts', 'test/support/**/*.ts', '!test/e2e/generated/**'],
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: types,
    },
  },
  importExtension: '.js',
  ignoreNoDocuments: true,
};

export default config;
