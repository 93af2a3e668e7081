import type { VerifyToken } from '../../auth/verify-token.js';
import { ChatError } from '../../domain/errors.js';
import type { Viewer } from '../../domain/viewer.js';
import type { Deps } from '../../resolvers/deps.js';
import { rememberViewer } from '../../resolvers/users.js';
import type { Context } from '../../schema/context.js';
import type { OperationTurns } from './room-turns.js';

/** What the transport adds to the context of an operation. */
export interface RequestContext extends Omit<Context, 'viewer'> {
  /** Null where the request carries no token. */
  readonly viewer: Viewer | null;
  /** The execution of an event that several viewers share: reading its viewer throws. */
  readonly isShared?: true;
  /** Breaks the connection off for a subscriber that cannot keep up; it resumes with afterSeq. */
  readonly cutOff: () => void;
  readonly turns?: OperationTurns | undefined;
}

/** The viewer that an `Authorization` value names; null where there is none. */
export type Authenticate = (authorization: string | undefined) => Promise<Viewer | null>;

const bearer = /^Bearer +([\w-]+\.[\w-]+\.[\w-]*)$/i;

/** @throws {ChatError} UNAUTHENTICATED for anything but a good bearer token; UNAVAILABLE where that cannot be known */
export function createAuthenticate(verifyToken: VerifyToken, deps: Deps): Authenticate {
  /** By token: the requests that bring a new one at the same time wait for one look at it. */
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
