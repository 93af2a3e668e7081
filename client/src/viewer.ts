import type { UserPartsFragment, ViewerQuery } from './operations/generated/documents.js';

export type User = UserPartsFragment;

/** The limits of the server that the client keeps to by itself. */
export type Limits = ViewerQuery['limits'];

/** Used until the server has said its own. */
export const defaultLimits: Limits = {
  fileTypes: [],
  maxAttachments: 10,
  maxContentLength: 4_000,
  maxFileBytes: 26_214_400,
  maxPageSize: 100,
  maxWatchedUsers: 100,
  typingExpiresInMs: 6_000,
};
