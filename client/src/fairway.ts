import { Connection, type ConnectionSnapshot } from './connection/connection.js';
import type { Operation } from './connection/line.js';
import { createTabs, type Tabs } from './connection/tabs.js';
import { type GetToken, Tokens } from './connection/token.js';
import { createEnvironment } from './environment/browser.js';
import type { Environment, PageEvent } from './environment/environment.js';
import { asFairwayError, FairwayError } from './errors.js';
import { CreateRoomDocument, type CreateRoomInput, ViewerDocument } from './operations/generated/documents.js';
import type { QueuedOperation } from './outbox/operation.js';
import { Outbox } from './outbox/outbox.js';
import { createPresence, type PresenceSnapshot } from './presence/presence.js';
import { Room } from './room/room.js';
import { type ListedRoom, Rooms } from './rooms/rooms.js';
import type { Session } from './session.js';
import { openStorage, type Storage } from './storage/storage.js';
import { createStore, type Store } from './store.js';
import { defaultLimits, type Limits, type User } from './viewer.js';

export type { ConnectionSnapshot, ConnectionStatus } from './connection/connection.js';
export type { GetToken } from './connection/token.js';
export { createEnvironment } from './environment/browser.js';
export type { Environment } from './environment/environment.js';
export { FairwayError, type FairwayErrorCode } from './errors.js';
export type { QueuedOperation } from './outbox/operation.js';
export type { Presence, PresenceSnapshot } from './presence/presence.js';
export type { Member, Room, RoomDetails, RoomSnapshot, RoomStatus } from './room/room.js';
export type { MessageStatus, TimelineMessage } from './room/timeline.js';
export type { ListedRoom, Rooms, RoomsSnapshot } from './rooms/rooms.js';
export type { Store } from './store.js';
export type { Limits, User } from './viewer.js';

export interface FairwayOptions {
  /** The server's GraphQL address. In a browser it may be relative: `/graphql`. */
  readonly url: string;
  /** Called when a token is needed, and shortly before it expires. Null signs out; if it throws, it is called again later. */
  readonly getToken: GetToken;
  /** The surroundings of a test, or of an unusual platform. */
  readonly environment?: Environment;
}

/** What the user has done and the server has not confirmed. */
export interface OutboxStore extends Store<readonly QueuedOperation[]> {
  /** Delivers an operation that was given up; for a send, its id is the message's. */
  retry(id: string): void;
  /** Removes an operation. It may have reached the server already. */
  discard(id: string): void;
}

/**
 * A chat client. It connects when the first of its stores gets a subscriber, and rests when the last one has gone. Everything
 * that changes is a store: `subscribe` and `getSnapshot`.
 */
export interface Fairway {
  readonly connection: Store<ConnectionSnapshot>;
  /** The signed-in user; null while it is not known. */
  readonly viewer: Store<User | null>;
  readonly rooms: Rooms;
  readonly outbox: OutboxStore;
  /** The room of that id: the same object each time. */
  room(id: string): Room;
  /** The presence of these users, at most `limits().maxWatchedUsers`: the same object for the same users. */
  presence(userIds: readonly string[]): Store<PresenceSnapshot>;
  /** The server's limits; those of its defaults until it has said them. */
  limits(): Limits;
  /**
   * Creates a GROUP, or returns the DIRECT room with another user.
   * @throws {FairwayError} the server's refusal; OFFLINE
   */
  createRoom(input: CreateRoomInput): Promise<ListedRoom>;
  /**
   * Executes any other operation with the client's connection and token.
   * @throws {FairwayError} the server's refusal; OFFLINE
   */
  request<Result, Variables>(document: Operation<Result, Variables>, variables: Variables): Promise<Result>;
  /** Connects at once, also after `signedOut` and `outdated`. */
  reconnectNow(): void;
  /** Ends the connection and erases everything of this user from this device. `reconnectNow` signs in again. */
  signOut(): Promise<void>;
  /** Ends the client: nothing of it runs any more. */
  close(): void;
}

const lastUserKey = 'lastUser';

export function createFairway({ url, getToken, environment = createEnvironment() }: FairwayOptions): Fairway {
  const address = toAbsolute(url);
  const viewer = createStore<User | null>(null);
  const rooms = new Map<string, Room>();
  const presences = new Map<string, ReturnType<typeof createPresence>>();
  let limits = defaultLimits;
  let userId: string | undefined;
  let tabs: Tabs | undefined;
  let isClosed = false;
  let isStarted = false;
  let stopListening = () => {};

  // The storage of the user, once it is known who that is.
  let opened = createDeferred<Storage>();
  const tokens = new Tokens(environment, getToken, (id) => identify(id));
  const connection = new Connection(environment, address, tokens, () => tabs?.makeRoom());
  const outbox = new Outbox({
    environment,
    connection,
    epochOf: (roomId) => rooms.get(roomId)?.epoch,
    onOutcome: ({ operation, message, epoch, isRefused }) => {
      const room = rooms.get(operation.roomId);
      if (message !== undefined) room?.confirm(message, epoch);
      if (isRefused === true) room?.unsee();
    },
  });
  const session: Session = {
    environment,
    connection,
    outbox,
    viewer,
    limits: () => limits,
    storage: () => opened.promise,
    forgetMessage: (messageId) => list.forgetMessage(messageId),
    start,
  };
  const list = new Rooms(session);

  /** Called with the user of each token. Another user than before gets a storage of their own, and sees nothing of the other. */
  function identify(id: string): void {
    if (id === userId || isClosed) return;
    if (userId !== undefined) leaveUser();
    userId = id;
    const name = `fairway:${address}:${id}`;
    tabs = createTabs({ environment, name, setAway: (isAway) => connection.setAway(isAway) });
    const mine = opened;
    const open = async () => {
      const storage = await openStorage(environment, name, () => connection.setStorage(false));
      if (mine !== opened || isClosed) return storage.close();
      connection.setStorage(storage.isDurable());
      mine.resolve(storage);
      const known = (await storage.get('facts', 'viewer')) as User | undefined;
      if (known !== undefined && viewer.getSnapshot() === null) showViewer(known);
      await outbox.open(storage, name);
    };
    open().catch(() => undefined);
    rememberUser(environment, address, id).catch(() => undefined);
  }

  function leaveUser(): void {
    const left = opened;
    opened = createDeferred();
    userId = undefined;
    tabs?.close();
    tabs = undefined;
    outbox.leave();
    viewer.set(null);
    for (const room of rooms.values()) room.reset();
    list.reset();
    left.promise.then((storage) => storage.close()).catch(() => undefined);
  }

  function showViewer(user: User): void {
    viewer.set(user);
    for (const room of rooms.values()) room.refresh();
  }

  const readViewer = async () => {
    const answer = await connection.request(ViewerDocument, {});
    limits = answer.limits;
    if (answer.viewer.id !== userId) return;
    const before = viewer.getSnapshot();
    if (JSON.stringify(before) !== JSON.stringify(answer.viewer)) showViewer(answer.viewer);
    await (await opened.promise).put('facts', 'viewer', answer.viewer);
  };

  function hear(event: PageEvent): void {
    if (event === 'shown' || event === 'hidden') tabs?.changed(event === 'shown');
    if (event === 'online' || event === 'shown') {
      connection.reconnectNow();
      outbox.wake();
    }
    if (event === 'offline') connection.check();
    for (const room of rooms.values()) room.pageChanged(event === 'leaving');
  }

  /** Before the first subscriber, and before the first operation, nothing runs. */
  function start(): void {
    if (isStarted || isClosed) return;
    isStarted = true;
    const stopPage = environment.page.listen(hear);
    let wasConnected = false;
    const stopConnection = connection.state.subscribe(() => {
      const isConnected = connection.state.getSnapshot().status === 'connected';
      if (isConnected && !wasConnected) {
        readViewer().catch(() => undefined);
        outbox.wake();
      }
      wasConnected = isConnected;
    });
    stopListening = () => {
      stopPage();
      stopConnection();
    };
    restoreUser(environment, address)
      .then((id) => {
        if (id !== undefined && userId === undefined) identify(id);
      })
      .catch(() => undefined);
    // What was not delivered when the page was left needs a token even if nothing is shown.
    tokens.get().catch((error) => connection.noteRefusal(asFairwayError(error)));
  }

  /** A store that is connected while somebody is subscribed to it. */
  const connected = <Value>(store: Store<Value>): Store<Value> => ({
    subscribe: (listener) => {
      start();
      const stop = store.subscribe(listener);
      const release = connection.follow({ online: () => undefined, offline: () => undefined });
      return () => {
        stop();
        release();
      };
    },
    getSnapshot: store.getSnapshot,
  });
  const createRoomStore = (id: string): Room => {
    const room = new Room(session, id);
    rooms.set(id, room);
    return room;
  };

  return {
    connection: connected(connection.state),
    viewer: connected(viewer),
    rooms: list,
    outbox: {
      ...connected(outbox.operations),
      retry: (id) => outbox.retry(id),
      discard: (id) => outbox.discard(id),
    },
    room: (id) => rooms.get(id.toLowerCase()) ?? createRoomStore(id.toLowerCase()),
    presence: (userIds) => {
      const key = [...userIds].sort().join();
      const known = presences.get(key);
      if (known !== undefined) return known;
      const presence = createPresence(session, userIds);
      presences.set(key, presence);
      return presence;
    },
    limits: () => limits,
    createRoom: async (input) => {
      start();
      const { createRoom } = await connection.request(CreateRoomDocument, { input });
      list.add(createRoom.room);
      return createRoom.room;
    },
    request: (document, variables) => {
      start();
      return connection.request(document, variables);
    },
    reconnectNow: () => {
      connection.resume();
      connection.reconnectNow();
      outbox.wake();
    },
    signOut: async () => {
      connection.signOut();
      const storage = opened.isResolved ? await opened.promise : undefined;
      await storage?.erase();
      leaveUser();
      await forgetUser(environment, address);
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      for (const room of rooms.values()) room.close();
      for (const presence of presences.values()) presence.close();
      list.close();
      stopListening();
      tabs?.close();
      outbox.close();
      connection.close();
      if (opened.isResolved) opened.promise.then((storage) => storage.close()).catch(() => undefined);
    },
  };
}

/** Relative addresses are of the page. */
function toAbsolute(url: string): string {
  const { location } = globalThis as { location?: { href: string } };
  if (/^https?:/.test(url)) return url;
  if (location === undefined)
    throw new FairwayError('BAD_USER_INPUT', `The url "${url}" must be absolute outside a browser`);
  return new URL(url, location.href).href;
}

function createDeferred<Value>() {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((done) => {
    resolve = done;
  });
  const deferred = {
    promise,
    isResolved: false,
    resolve: (value: Value) => {
      deferred.isResolved = true;
      resolve(value);
    },
  };
  return deferred;
}

const usersName = 'fairway';

/** The user whose data is on this device, so that it can be read without a network. */
async function restoreUser(environment: Environment, address: string): Promise<string | undefined> {
  const store = await environment.openStorage(usersName);
  const id = await store.get('facts', `${lastUserKey}:${address}`);
  store.close();
  return typeof id === 'string' ? id : undefined;
}

async function rememberUser(environment: Environment, address: string, id: string): Promise<void> {
  const store = await environment.openStorage(usersName);
  await store.put('facts', `${lastUserKey}:${address}`, id);
  store.close();
}

async function forgetUser(environment: Environment, address: string): Promise<void> {
  try {
    const store = await environment.openStorage(usersName);
    await store.delete('facts', `${lastUserKey}:${address}`);
    store.close();
  } catch {
    // Nothing was remembered.
  }
}
