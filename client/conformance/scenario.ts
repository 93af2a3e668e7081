/**
 * A scenario: what a client, the server and the network do, one after the other, and what the client must show. It is JSON, so
 * that a client in any language can be tried; see README.md.
 */
export interface Scenario {
  readonly name: string;
  /** Rooms by a short name, with the users who are members (the first is an admin) and the messages in them. */
  readonly rooms: Readonly<
    Record<string, { readonly members: readonly string[]; readonly messages?: readonly Post[] }>
  >;
  readonly steps: readonly Step[];
}

/** A message by its author; `count` makes it many, numbered from 1. */
export interface Post {
  readonly from: string;
  readonly content: string;
  readonly count?: number;
  /** A name for it in later steps. */
  readonly as?: string;
}

/** The viewer is user 4. */
export type Step =
  /** Subscribes to the room, or to the room list if there is no room. */
  | { readonly client: 'open'; readonly room?: string }
  | { readonly client: 'send'; readonly room: string; readonly content: string; readonly as?: string }
  | { readonly client: 'edit'; readonly room: string; readonly message: string; readonly content: string }
  | { readonly client: 'delete'; readonly room: string; readonly message: string }
  | { readonly client: 'see'; readonly room: string; readonly message: string }
  | { readonly client: 'goTo'; readonly room: string; readonly message: string }
  | { readonly client: 'goToLatest' | 'loadOlder' | 'loadNewer'; readonly room: string }
  | { readonly client: 'retry' | 'discard'; readonly message: string }
  /** The page ends without notice and opens again; what was open is opened again. */
  | { readonly client: 'reload' }
  | { readonly client: 'signOut' }
  | { readonly page: 'hidden' | 'shown' | 'online' | 'offline' | 'leaving' }
  | ({ readonly server: 'send'; readonly room: string } & Post)
  | { readonly server: 'edit'; readonly message: string; readonly content: string }
  | { readonly server: 'delete'; readonly message: string }
  | { readonly server: 'read'; readonly room: string; readonly by: string; readonly message: string }
  | { readonly server: 'remove'; readonly room: string; readonly user: string }
  /** Loses the newest entries of the room, and begins another epoch. */
  | { readonly server: 'restore'; readonly room: string; readonly lose: number }
  /** An event that only newer servers have. */
  | { readonly server: 'unknownEvent'; readonly room: string }
  /** Refuses the next operations of that name; without `times`, until the step comes again with 0. */
  | {
      readonly server: 'refuse';
      readonly operation: string;
      readonly code: string;
      readonly retryAfterMs?: number;
      readonly times?: number;
    }
  /** Refuses all tokens that were issued until now. */
  | { readonly server: 'refuseTokens' }
  /** No token can be had, or there is none; `ok` undoes it. */
  | { readonly tokens: 'throw' | 'none' | 'refused' | 'ok' }
  | { readonly network: 'cut' | 'silence' | 'restore' | 'noUpgrades' | 'upgrades' }
  /** The server closes the socket with this code. */
  | { readonly network: 'close'; readonly code: number }
  /** Changes the next live event of a room: it is lost, comes twice, or changes places with the one after it. */
  | { readonly network: 'loseEvent' | 'repeatEvent' | 'swapEvents' }
  /** The answer to the next operation of that name is lost; the socket stays open. */
  | { readonly network: 'loseAnswer'; readonly operation: string }
  | { readonly pass: number }
  | { readonly expect: Expectation; readonly within?: number };

/** What must hold, within 60 s of the scenario's time unless it says otherwise. What is absent is not looked at. */
export interface Expectation {
  readonly room?: string;
  readonly status?: string;
  /** `content`, `content status`, or `content status count` with the members who have not read it; `null` for a deleted one. */
  readonly messages?: readonly string[];
  /** As `messages`, only the last ones. */
  readonly lastMessages?: readonly string[];
  readonly unreadCount?: number;
  readonly firstUnread?: string | null;
  readonly hasNewer?: boolean;
  readonly hasOlder?: boolean;
  /** The rooms of the list by their names, with their unread counts. */
  readonly rooms?: readonly (readonly [string, number])[];
  readonly connection?: string;
  readonly transport?: string | null;
  /** The texts in the room as the server has them. */
  readonly stored?: readonly string[];
  /** How often each mutation was executed at the server. */
  readonly executed?: Readonly<Record<string, number>>;
  /** How many tokens were asked for, at most. */
  readonly tokensAtMost?: number;
  /** A text that is nowhere in what the client stores. */
  readonly notOnDisk?: string;
}
