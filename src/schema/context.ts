import type { TurnTaker } from '../domain/fair-turns.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from '../resolvers/deps.js';
import type { WrittenRoom } from '../resolvers/rooms.js';

/** The order in which the mutations of one connection take effect. */
export interface Turns {
  /** Runs `work` after all earlier mutations of the room that `input` names. */
  take<T>(input: unknown, work: () => T | Promise<T>): Promise<T>;
}

/** Limits how many changes of one user run at the same time: an operation's mutations wait for their turn. */
export interface ChangeTurn {
  /** Resolves when the turn has come. @throws {ChatError} RATE_LIMITED if too many changes wait, unless it `isPatient` */
  begin(wait?: { readonly isPatient?: boolean }): Promise<void>;
  /** Gives the turn back. Does nothing if it has not begun. */
  end(): void;
}

/** The context of every field. Each operation and each event of a subscription has a new one, and so new loaders. */
export interface Context {
  readonly deps: Deps;
  /** The authenticated user: the gate refuses operations without a token before they reach a field. */
  readonly viewer: Viewer;
  /** The user on whose turns the execution runs. An event that several viewers share runs on those of its first subscriber. */
  readonly turnTaker: TurnTaker;
  /** Whether the connection is too slow for what is sent to it: events that can wait are held back then. */
  readonly isBehind: () => boolean;
  /** Absent if the connection runs no other operations beside this one. */
  readonly turns?: Turns | undefined;
  /** Absent if the request comes from a backend. */
  readonly changeTurn?: ChangeTurn | undefined;
  /** The UTF-16 units of all long texts in the answer so far. */
  textLength?: number;
  /** The state of each room, by id, right after a mutation of this operation wrote to it. */
  writtenRooms?: Map<string, WrittenRoom>;
}
