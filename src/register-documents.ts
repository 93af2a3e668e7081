import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import type { Config } from './config.js';
import { schema } from './schema/index.js';
import { TrustedDocuments } from './server/graphql/documents/trusted-documents.js';

/** For the native clients. */
const ownOperations = fileURLToPath(new URL('../clients/operations', import.meta.url));

/** @throws {ManifestError} if a manifest cannot be used */
export function registerDocuments({ trustedDocuments, introspection, limits }: Config, log: Logger): TrustedDocuments {
  const documents = new TrustedDocuments({
    ...limits,
    ...trustedDocuments,
    introspection,
    schema,
    own: [ownOperations],
  });
  const { size, interpreted } = documents;
  log.info({ documents: size, interpreted }, 'Documents are registered');
  return documents;
}
