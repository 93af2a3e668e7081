import { Backoff } from './connection/backoff.js';
import { Connection, type ConnectionSnapshot } from './connection/connection.js';
import type { Operation } from './connection/line.js';
import { createTabs, type Tabs } from './connection/tabs.js';
import { type GetToken, Tokens } from './connection/token.js';
import { createEnvironment } from './environment/browser.js';
import type { Environment, PageEvent } from './environment/environment.js';
import { asFairwayError, FairwayError } from './errors.js';
import { inTime } from './in-time.js';
import { CreateRoomDocument, type CreateRoomInput, ViewerDocument } from './operations/generated/documents.js';
import type { Files } from './outbox/files.js';
import type { QueuedOperation } from './outbox/operation.js';
import { Outbox } from './outbox/outbox.js';
import { createPresence, type PresenceSnapshot } from './presence/presence.js';
import { Room } from './room/room.js';
import { type ListedRoom, Rooms } from './rooms/rooms.js';
import type { Session } from './session.js';
import type { KeyValueStore } from './storage/key-value.js';
import { openStorage, type Storage } from './storage/storage.js';
import { createStore, type Store } from './store.js';
import { defaultLimits, type Limits, type User } from './viewer.js';

export type { ConnectionSnapshot, ConnectionStatus } from './connection/connection.js';
export type { GetToken } from './connection/token.js';
export { createEnvironment } from './environment/browser.js';
export type { Environment } from './environment/environment.js';
export { FairwayError, type FairwayErrorCode } from './errors.js';
export type { Files, FileToSend, TimelineAttachment } from './outbox/files.js';
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
  /** What sends files: `createFiles()` of `@fairway/client/files`. */
  readonly files?: Files | undefined;
}

/** What the user has done and the server has not confirmed. */
export interface OutboxStore extends Store<readonly QueuedOperation[]> {
  /** Delivers an operation that was given up; for a send, its id is the message's. */
  retry(id: string): void;
  /**
   * Sends a message that was given up for a file, without these of its files. Without any file left, its caption is sent as a
   * text; a message without either is discarded.
   */
  retryWithout(id: string, fileIds: readonly string[]): void;
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
  /**
   * The presence of these users: the same object for the same users.
   * @throws {FairwayError} BAD_USER_INPUT for more than `limits().maxWatchedUsers`
   */
  presence(userIds: readonly string[]): Store<PresenceSnapshot>;
  /** The server's limits; those of its defaults until it has said them. */
  limits(): Limits;
  /** What was given to send files. */
  readonly files: Files | undefined;
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

/** More stores of presence than these are kept only while somebody is subscribed to them. */
const maxPresences = 100;
/** While no token can be had, it is asked for again after this time. */
const seekAgainMs = 30_000;
/** A database that another tab holds is deleted when that tab lets go; nobody waits for it. */
const eraseWithinMs = 5_000;
const lastUserKey = 'lastUser';

export function createFairway({ url, getToken, environment = createEnvironment(), files }: FairwayOptions): Fairway {
  const address = toAbsolute(url);
  const viewerBackoff = new Backoff(environment);
  let cancelViewer = () => {};
  let cancelSeek = () => {};
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
    files,
    editedAtOf: (roomId, messageId) => rooms.get(roomId)?.editedAtOf(messageId),
    epochOf: (roomId) => rooms.get(roomId)?.position?.epoch,
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
    files,
    viewer,
    limits: () => limits,
    storage: () => opened.promise,
    forgetMessage: (messageId) => list.forgetMessage(messageId),
    returnTo: (roomId) => rooms.get(roomId)?.returnTo(),
    start,
  };
  const list = new Rooms(session);
  files?.attach(session, address);

  /** Called with the user of each token. Another user than before gets a storage of their own, and sees nothing of the other. */
  function identify(id: string): void {
    if (id === userId || isClosed) return;
    const isChange = userId !== undefined;
    if (isChange) {
      const left = leaveUser();
      left.promise.then((storage) => storage.close()).catch(() => undefined);
    }
    userId = id;
    tokens.assume(id);
    const name = nameOf(address, id);
    tabs = createTabs({
      environment,
      name,
      setAway: (isAway) => connection.setAway(isAway),
      onSignOut: () => {
        connection.signOut();
        leaveUser();
      },
    });
    const mine = opened;
    const open = async () => {
      const storage = await openStorage(environment, name, (isDurable) => {
        connection.setStorage(isDurable);
        if (!isDurable) return;
        const known = viewer.getSnapshot();
        if (known !== null) mine.promise.then((back) => back.put('facts', 'viewer', known)).catch(() => undefined);
        outbox.reload();
      });
      if (mine !== opened || isClosed) return storage.close();
      connection.setStorage(storage.isDurable());
      mine.resolve(storage);
      const known = (await storage.get('facts', 'viewer')) as User | undefined;
      if (known !== undefined && viewer.getSnapshot() === null) showViewer(known);
      await outbox.open(storage, name);
    };
    open().catch(() => undefined);
    for (const room of rooms.values()) room.restart();
    list.restart();
    if (isChange) connection.changeUser();
    rememberUser(environment, address, id).catch(() => undefined);
  }

  /** Forgets the user in memory; returns their storage. */
  function leaveUser(): Deferred<Storage> {
    const left = opened;
    // Rooms first: what they still have to store is of the user who leaves.
    for (const room of rooms.values()) room.reset();
    list.reset();
    opened = createDeferred();
    userId = undefined;
    tabs?.close();
    tabs = undefined;
    outbox.leave();
    viewer.set(null);
    return left;
  }

  function showViewer(user: User): void {
    viewer.set(user);
    for (const room of rooms.values()) room.refresh();
  }

  /** Reads who the viewer is, until it is known or the connection is lost. */
  function seekViewer(): void {
    cancelViewer();
    readViewer().catch((error) => {
      const { status } = connection.state.getSnapshot();
      if (isClosed || status !== 'connected') return;
      cancelViewer = environment.setTimer(seekViewer, asFairwayError(error).retryAfterMs ?? viewerBackoff.next());
    });
  }

  const readViewer = async () => {
    const answer = await connection.request(ViewerDocument, {});
    viewerBackoff.reset();
    limits = { ...defaultLimits, ...answer.limits };
    // A token that does not name its user.
    if (userId === undefined) identify(answer.viewer.id);
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
    // A tab that has crashed may have stored something and told nobody.
    if (event === 'shown' || event === 'focused') outbox.reload();
    if (event === 'offline') connection.check();
    for (const room of rooms.values()) room.pageChanged(event === 'leaving');
  }

  /** Before the first subscriber, and before the first operation, nothing runs. */
  function start(): void {
    if (isStarted || isClosed) return;
    if (!/^https?:/.test(address)) {
      throw new FairwayError('BAD_USER_INPUT', `The url "${url}" must be absolute outside a browser`);
    }
    isStarted = true;
    const stopPage = environment.page.listen(hear);
    let wasConnected = false;
    const stopConnection = connection.state.subscribe(() => {
      const isConnected = connection.state.getSnapshot().status === 'connected';
      if (isConnected && !wasConnected) {
        seekViewer();
        outbox.wake();
      }
      wasConnected = isConnected;
    });
    stopListening = () => {
      stopPage();
      stopConnection();
    };
    const before = opened;
    restoreUser(environment, address)
      .then((id) => {
        // Nobody has signed in or out meanwhile.
        if (id !== undefined && userId === undefined && before === opened) identify(id);
      })
      .catch(() => undefined);
    seekUser();
  }

  /** What was not delivered when the page was left needs a token, even if nothing is shown. */
  function seekUser(): void {
    cancelSeek();
    tokens.get().catch((thrown) => {
      const error = asFairwayError(thrown);
      connection.noteRefusal(error);
      const isWanted = !isClosed && error.code !== 'SIGNED_OUT' && !opened.isResolved;
      if (isWanted) cancelSeek = environment.setTimer(seekUser, seekAgainMs);
    });
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
      retryWithout: (id, fileIds) => outbox.retryWithout(id, fileIds),
      discard: (id) => outbox.discard(id),
    },
    room: (id) => rooms.get(id.toLowerCase()) ?? createRoomStore(id.toLowerCase()),
    presence: (userIds) => {
      if (userIds.length > limits.maxWatchedUsers) {
        throw new FairwayError('BAD_USER_INPUT', `At most ${limits.maxWatchedUsers} users can be followed`);
      }
      const key = [...userIds].sort().join();
      const presence = presences.get(key) ?? createPresence(session, userIds);
      // The least recently used ones go; they are made again when they are asked for.
      presences.delete(key);
      presences.set(key, presence);
      for (const [oldest, { isWatched }] of presences) {
        if (presences.size <= maxPresences) break;
        if (!isWatched()) presences.delete(oldest);
      }
      return presence;
    },
    limits: () => limits,
    files,
    createRoom: async (input) => {
      start();
      const user = userId;
      const { createRoom } = await connection.request(CreateRoomDocument, { input }, { isForeign: true });
      if (user === userId) list.add(createRoom.room);
      return createRoom.room;
    },
    request: (document, variables) => {
      start();
      return connection.request(document, variables, { isForeign: true });
    },
    reconnectNow: () => {
      connection.resume();
      connection.reconnectNow();
      // What is watched waits for the user.
      if (isStarted && userId === undefined) seekUser();
      outbox.wake();
    },
    signOut: async () => {
      const id = userId;
      tabs?.signOut();
      connection.signOut();
      const left = leaveUser();
      await erase(environment, address, id, left);
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      for (const room of rooms.values()) room.close();
      for (const presence of presences.values()) presence.close();
      list.close();
      stopListening();
      cancelViewer();
      cancelSeek();
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
  if (/^(https?|wss?):/.test(url)) return url.replace(/^ws/, 'http');
  // A server that renders the app makes a client, and never uses it.
  return location === undefined ? url : new URL(url, location.href).href;
}

interface Deferred<Value> {
  readonly promise: Promise<Value>;
  isResolved: boolean;
  resolve(value: Value): void;
}

function createDeferred<Value>(): Deferred<Value> {
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

/** Removes everything of a user from this device: of the last one, if nobody is known yet. */
async function erase(
  environment: Environment,
  address: string,
  userId: string | undefined,
  opened: Deferred<Storage>,
): Promise<void> {
  const remove = async () => {
    const id = userId ?? (await restoreUser(environment, address).catch(() => undefined));
    await forgetUser(environment, address, id);
    if (opened.isResolved) await (await opened.promise).erase();
    else if (id !== undefined) await (await environment.openStorage(nameOf(address, id))).erase();
  };
  await inTime(environment, remove(), eraseWithinMs).catch(() => undefined);
}

const nameOf = (address: string, userId: string): string => `fairway:${address}:${userId}`;

/** Does something with the memory of who has signed in on this device. */
async function withUsers<Value>(
  environment: Environment,
  use: (store: KeyValueStore) => Promise<Value>,
): Promise<Value> {
  const store = await environment.openStorage('fairway');
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

const lastUserOf = (address: string): string => `${lastUserKey}:${address}`;

/** The user whose data is on this device, so that it can be read without a network. */
const restoreUser = (environment: Environment, address: string): Promise<string | undefined> =>
  withUsers(environment, async (store) => {
    const id = await store.get('facts', lastUserOf(address));
    return typeof id === 'string' ? id : undefined;
  });

const rememberUser = (environment: Environment, address: string, id: string): Promise<void> =>
  withUsers(environment, (store) => store.put('facts', lastUserOf(address), id));

/** Another user may have signed in meanwhile. */
const forgetUser = (environment: Environment, address: string, userId: string | undefined): Promise<void> =>
  withUsers(environment, async (store) => {
    const key = lastUserOf(address);
    if ((await store.get('facts', key)) === userId) await store.delete('facts', key);
  }).catch(() => undefined);
