import { Backoff } from '../connection/backoff.js';
import { createFeed, type Feed } from '../connection/feed.js';
import { asFairwayError, FairwayError } from '../errors.js';
import { createLinger, type Linger } from '../linger.js';
import {
  InboxEventsDocument,
  type InboxEventsSubscription,
  type ListedRoomFragment,
  RoomListDocument,
} from '../operations/generated/documents.js';
import { type Session, write } from '../session.js';
import { createStore, type Store } from '../store.js';

export type ListedRoom = ListedRoomFragment;

export interface RoomsSnapshot {
  /** `stale` shows what is known while the connection is being restored. */
  readonly status: 'loading' | 'ready' | 'stale';
  /** Newest activity first. */
  readonly rooms: readonly ListedRoom[];
  /** Whether `loadMore` finds more. */
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
  /** The sum over the rooms that are loaded. */
  readonly unreadCount: number;
}

const pageSize = 20;
const storedRooms = 50;
const listKey = 'list';
const saveMs = 1_000;

/** The viewer's rooms: live while somebody is subscribed. */
export class Rooms implements Store<RoomsSnapshot> {
  readonly #session: Session;
  readonly #store;
  readonly #linger: Linger;
  #feed: Feed | undefined;
  #rooms = new Map<string, ListedRoom>();
  #cursor: string | null = null;
  #hasMore = false;
  #isLoadingMore = false;
  #status: RoomsSnapshot['status'] = 'loading';
  /** The rooms that events have changed since a query was sent, whose answer may be older. Null: removed. */
  readonly #news = new Map<string, ListedRoom | null>();
  #queries = 0;
  /** Counts the readings of the whole list: only the answers to the newest one count. */
  #turn = 0;
  #isToRestart = false;
  #cancelSave: (() => void) | undefined;
  #cancelRead = () => {};

  constructor(session: Session) {
    this.#session = session;
    this.#store = createStore<RoomsSnapshot>(
      { status: 'loading', rooms: [], hasMore: false, isLoadingMore: false, unreadCount: 0 },
      (isWatched) => this.#linger.setWatched(isWatched),
    );
    this.#linger = createLinger(
      session.environment,
      () => this.#start(),
      () => this.#stop(),
    );
  }

  readonly subscribe = (listener: () => void): (() => void) => this.#store.subscribe(listener);
  readonly getSnapshot = (): RoomsSnapshot => this.#store.getSnapshot();

  /** Loads the next page. Resolves with false if it could not be loaded, or there is none. */
  async loadMore(): Promise<boolean> {
    if (!this.#hasMore || this.#isLoadingMore) return false;
    this.#isLoadingMore = true;
    this.#show();
    try {
      await this.#read(pageSize, this.#cursor, false);
      return true;
    } catch {
      return false;
    } finally {
      this.#isLoadingMore = false;
      this.#show();
    }
  }

  /** A room that this client has created or read, before its event arrives. */
  add(room: ListedRoom): void {
    if (this.#feed === undefined) return;
    this.#rooms.set(room.id, room);
    this.#show();
  }

  /** A message was deleted: its text leaves the list, and what is stored of it, before the list is read again. */
  forgetMessage(messageId: string): void {
    const forget = (room: ListedRoom) => (room.lastMessage?.id === messageId ? { ...room, lastMessage: null } : room);
    for (const [id, room] of this.#rooms) this.#rooms.set(id, forget(room));
    this.#show();
    write(this.#session, async (storage) => {
      const stored = (await storage.get('rooms', listKey)) as readonly ListedRoom[] | undefined;
      if (stored?.some(({ lastMessage }) => lastMessage?.id === messageId)) {
        await storage.put('rooms', listKey, stored.map(forget));
      }
    });
  }

  /** Another user is signed in: nothing of the one before remains. */
  reset(): void {
    this.#turn += 1;
    this.#rooms.clear();
    [this.#cursor, this.#hasMore, this.#status] = [null, false, 'loading'];
    const wasWatched = this.#feed !== undefined;
    if (wasWatched) this.#stop();
    this.#isToRestart = wasWatched;
    this.#show();
  }

  /** The next user is known: what is watched begins again. */
  restart(): void {
    if (!this.#isToRestart) return;
    this.#isToRestart = false;
    this.#start();
  }

  close(): void {
    this.#isToRestart = false;
    this.#linger.end();
  }

  #start(): void {
    this.#session.start();
    this.#restore().catch(() => undefined);
    let isPolling = false;
    this.#feed = createFeed({
      environment: this.#session.environment,
      connection: this.#session.connection,
      prepare: async (turn) => {
        isPolling = turn.isPolling;
        if (isPolling) await this.#readAgain();
        return { document: InboxEventsDocument, variables: {} };
      },
      next: ({ inboxEvents }) => this.#apply(inboxEvents),
      polled: () => {
        if (isPolling) this.#setStatus('ready');
        else this.#readUntilDone();
      },
      stale: () => {
        this.#cancelRead();
        if (this.#status === 'ready') this.#setStatus('stale');
      },
    });
  }

  #stop(): void {
    this.#isToRestart = false;
    this.#feed?.stop();
    this.#feed = undefined;
    this.#cancelRead();
    this.#cancelSave?.();
    this.#cancelSave = undefined;
    if (this.#status === 'ready') this.#setStatus('stale');
  }

  async #restore(): Promise<void> {
    const stored = (await (await this.#session.storage()).get('rooms', listKey)) as readonly ListedRoom[] | undefined;
    if (stored === undefined || this.#rooms.size > 0 || this.#feed === undefined) return;
    this.#rooms = new Map(stored.map((room) => [room.id, room]));
    this.#setStatus('stale');
  }

  #apply({ kind, roomId, room }: InboxEventsSubscription['inboxEvents']): void {
    if (kind === 'READY') {
      this.#readUntilDone();
      return;
    }
    if (roomId === null) return;
    if (this.#queries > 0) this.#news.set(roomId, room);
    if (room !== null) this.#session.returnTo(roomId);
    if (room === null) this.#rooms.delete(roomId);
    else if (this.#rooms.has(roomId) || this.#isInList(room)) this.#rooms.set(roomId, room);
    this.#show();
    this.#saveSoon();
  }

  /** A room behind the last page that is loaded comes with its page. */
  #isInList({ updatedAt }: ListedRoom): boolean {
    const last = this.getSnapshot().rooms.at(-1);
    return !this.#hasMore || last === undefined || updatedAt >= last.updatedAt;
  }

  /** Reads the list; if that fails, again after a while, until the line is lost. */
  #readUntilDone(): void {
    this.#cancelRead();
    let isCancelled = false;
    let cancelTimer = () => {};
    this.#cancelRead = () => {
      isCancelled = true;
      cancelTimer();
    };
    const backoff = new Backoff(this.#session.environment);
    const run = async () => {
      try {
        await this.#readAgain();
        if (!isCancelled) this.#setStatus('ready');
      } catch (error) {
        if (isCancelled) return;
        const ms = asFairwayError(error).retryAfterMs ?? backoff.next();
        cancelTimer = this.#session.environment.setTimer(() => void run().catch(() => undefined), ms);
      }
    };
    run().catch(() => undefined);
  }

  /** Reads as many rooms as are shown. */
  #readAgain(): Promise<void> {
    const { maxPageSize } = this.#session.limits();
    return this.#read(Math.min(Math.max(this.#rooms.size, pageSize), maxPageSize), null, true);
  }

  async #read(first: number, after: string | null, isAnew: boolean): Promise<void> {
    this.#queries += 1;
    if (isAnew) {
      this.#turn += 1;
      // What came before is older than the answer.
      this.#news.clear();
    }
    const turn = this.#turn;
    try {
      const { rooms } = await this.#session.connection.request(RoomListDocument, { first, after });
      // A later reading has begun, of another user perhaps: this answer may be older than what it has brought.
      if (turn !== this.#turn) throw new FairwayError('OFFLINE', 'It is read anew');
      const read = new Map(rooms.edges.map(({ node }) => [node.id, node]));
      for (const [id, news] of this.#news) {
        if (news === null) read.delete(id);
        else if (read.has(id) || isAnew) read.set(id, news);
      }
      this.#rooms = isAnew ? read : new Map([...this.#rooms, ...read]);
      this.#hasMore = rooms.pageInfo.hasNextPage;
      this.#cursor = rooms.pageInfo.endCursor;
      this.#show();
      this.#saveSoon();
    } finally {
      this.#queries -= 1;
      if (this.#queries === 0) this.#news.clear();
    }
  }

  #setStatus(status: RoomsSnapshot['status']): void {
    this.#status = status;
    this.#show();
  }

  #saveSoon(): void {
    this.#cancelSave ??= this.#session.environment.setTimer(() => {
      this.#cancelSave = undefined;
      const rooms = this.getSnapshot().rooms.slice(0, storedRooms);
      write(this.#session, (storage) => storage.put('rooms', listKey, rooms));
    }, saveMs);
  }

  #show(): void {
    const before = this.#store.getSnapshot();
    const sorted = [...this.#rooms.values()].sort(byActivity);
    const isSame = sorted.length === before.rooms.length && sorted.every((room, index) => room === before.rooms[index]);
    const next: RoomsSnapshot = {
      status: this.#status,
      rooms: isSame ? before.rooms : sorted,
      hasMore: this.#hasMore,
      isLoadingMore: this.#isLoadingMore,
      unreadCount: sorted.reduce((sum, { unreadCount }) => sum + unreadCount, 0),
    };
    const keys = Object.keys(next) as (keyof RoomsSnapshot)[];
    if (keys.some((key) => next[key] !== before[key])) this.#store.set(next);
  }
}

const byActivity = (a: ListedRoom, b: ListedRoom): number =>
  a.updatedAt === b.updatedAt ? (a.id < b.id ? 1 : -1) : a.updatedAt < b.updatedAt ? 1 : -1;
