import type { VerifyToken } from '../../auth/verify-token.js';
import { ChatError } from '../../domain/errors.js';
import type { Viewer } from '../../domain/viewer.js';
import type { Deps } from '../../resolvers/deps.js';
import { rememberViewer } from '../../resolvers/users.js';
import type { Context } from '../../schema/context.js';
import type { OperationTurns } from './room-turns.js';

/** The context of an operation, with the fields that the transport adds. */
export interface RequestContext extends Omit<Context, 'viewer'> {
  /** Null if the request has no token. */
  readonly viewer: Viewer | null;
  /** The execution of an event that several viewers share: reading its viewer throws. */
  readonly isShared?: true;
  /** Closes the connection of a subscriber that cannot keep up; it resumes with afterSeq. */
  readonly cutOff: () => void;
  readonly turns?: OperationTurns | undefined;
}

/** Resolves with the viewer of an `Authorization` value; null without one. */
export type Authenticate = (authorization: string | undefined) => Promise<Viewer | null>;

const bearer = /^Bearer +([\w-]+\.[\w-]+\.[\w-]*)$/i;

/** @throws {ChatError} UNAUTHENTICATED unless the value is a valid bearer token; UNAVAILABLE if that cannot be checked */
export function createAuthenticate(verifyToken: VerifyToken, deps: Deps): Authenticate {
  /** By token: concurrent requests with the same new token share one query. */
  const remembering = new Map<string, Promise<void>>();
  const remember = (token: string, viewer: Viewer): Promise<void> => {
    let pending = remembering.get(token);
    if (pending === undefined) {
      pending = rememberViewer(deps, viewer).finally(() => remembering.delete(token));
      remembering.set(token, pending);
    }
    return pending;
  };
  return async (authorization) => {
    if (authorization === undefined) return null;
    const token = bearer.exec(authorization.trim())?.[1];
    if (token === undefined) throw new ChatError('UNAUTHENTICATED', 'Authorization must be: Bearer, then a JWT');
    const viewer = await verifyToken(token);
    await remember(token, viewer);
    return viewer;
  };
}
