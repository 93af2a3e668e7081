import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import type { Config } from './config.js';
import { schema } from './schema/index.js';
import { TrustedDocuments } from './server/graphql/documents/trusted-documents.js';

/** Of the native clients, of the client in this repository, and of the chat app. */
const ownOperations = ['../clients/operations', '../client/documents.json', '../web/documents.json'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

/** @throws {ManifestError} if a manifest cannot be used */
export function registerDocuments({ trustedDocuments, introspection, limits }: Config, log: Logger): TrustedDocuments {
  const documents = new TrustedDocuments({
    ...limits,
    ...trustedDocuments,
    introspection,
    schema,
    own: ownOperations,
  });
  const { size, interpreted } = documents;
  log.info({ documents: size, interpreted }, 'Documents are registered');
  return documents;
}
