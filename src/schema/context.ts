import type { Viewer } from '../domain/viewer.js';
import type { Deps } from '../resolvers/deps.js';
import type { WrittenRoom } from '../resolvers/rooms.js';

/** The order in which the mutations of one connection take effect. */
export interface Turns {
  /** Does the work when all is done that came before it to the room that the mutation's input names. */
  take<T>(input: unknown, work: () => T | Promise<T>): Promise<T>;
}

/** The turn of an operation's mutations among all that their user does at the same time. */
export interface ChangeTurn {
  /** Resolves when it has come. @throws {ChatError} RATE_LIMITED where too much waits, unless it `isPatient` */
  begin(wait?: { readonly isPatient?: boolean }): Promise<void>;
  /** Where it has begun. */
  end(): void;
}

/** What every field can reach. Made anew for each operation and for each event of a subscription: loaders hang on it. */
export interface Context {
  readonly deps: Deps;
  /** The authenticated user: the gate refuses operations without a token before they reach a field. */
  readonly viewer: Viewer;
  /** Whether the connection has more to take already than it keeps up with: what can wait is not sent then. */
  readonly isBehind: () => boolean;
  /** Where other operations of the same connection are under way; absent where this one stands alone. */
  readonly turns?: Turns | undefined;
  /** Where a user asks; absent where a backend does. */
  readonly changeTurn?: ChangeTurn | undefined;
  /** By room: how it was when a mutation of this operation wrote to it. */
  writtenRooms?: Map<string, WrittenRoom>;
}
