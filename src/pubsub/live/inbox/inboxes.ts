import type { Logger } from 'pino';
import type { EpochWatch } from '../../../domain/epoch.js';
import { every, type Loop } from '../../../domain/every.js';
import type { InboxEvent, InboxRoom, InboxStore, ListedRoom } from '../../../domain/inbox.js';
import type { SystemCode } from '../../../domain/message.js';
import type { LogEntry, Member } from '../../../domain/room-log.js';
import type { Source } from '../../../domain/source.js';
import { decodeEntry, roomOf } from '../../nats/encoding.js';
import type { EntrySeal } from '../../nats/entry-seal.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import { allMessageSubjects, ownReadSubject } from '../../nats/subjects.js';
import type { LoadGauge } from '../load-gauge.js';
import type { RoomFeeds } from '../room/room-feeds.js';
import { readMark } from '../room/room-states.js';
import { InboxIndex } from './inbox-index.js';
import { InboxStates } from './inbox-states.js';
import { InboxWatcher } from './inbox-watcher.js';

export interface InboxesOptions {
  readonly pubsub: PubSub;
  readonly feeds: RoomFeeds;
  readonly store: InboxStore;
  readonly epochs: EpochWatch;
  readonly seal: EntrySeal;
  readonly load: LoadGauge;
  readonly log: Logger;
}

/** Rooms that change within this time are sent together, so that they share queries. */
const tickMs = 50;
const compareMs = 1_000;
/** A change dated before the last comparison may have been committed after it. */
const lateCommitMs = 30_000;
const roomsPerQuery = 5_000;
const tidyMs = 60_000;
const viewersPerQuery = 200;

/** How a watcher gets the rooms that it shows. */
export interface RoomLookup<Room> {
  /** The room as the viewer sees it now; null if they are not a member. */
  readonly read: (roomId: string) => Promise<Room | null>;
  /** Whether the watcher shows only the parts of a list, which follow from the log: then few changes have to be read. */
  readonly isListed: boolean;
}

interface Inbox<Room extends object> {
  readonly watchers: Set<InboxWatcher<Room>>;
  readonly reads: Subscription;
  readonly opened: Promise<void>;
}

/**
 * The inboxes that are watched in this process. Two NATS subscriptions receive the entries of all rooms, and an index finds
 * the viewers of each: a message costs one lookup, whatever the number of rooms and viewers. What an entry changes in a list
 * follows from the entry. A room is read from the database when it is sent if its state is not known, for all viewers of one
 * tick in one query.
 */
export class Inboxes<Room extends ListedRoom> {
  readonly #options: InboxesOptions;
  readonly #index = new InboxIndex();
  readonly #states = new InboxStates<Room>();
  readonly #inboxes = new Map<number, Inbox<Room>>();
  /** The viewers to notify, by changed room. */
  readonly #changed = new Map<string, Set<number>>();
  /** When each viewer's memberships were last compared with the database, the oldest first. */
  readonly #comparedAt = new Map<number, number>();
  /** When each room was last sent, the oldest first. */
  readonly #sentAt = new Map<string, number>();
  readonly #comparing: Loop;
  readonly #tidying: Loop;
  #entries: readonly Subscription[] = [];
  #tick: NodeJS.Timeout | undefined;
  #tickedAt = Number.NEGATIVE_INFINITY;
  /** Whether the next comparison has to be complete: something may have been missed. */
  #mustCompareAll = false;
  /** The epoch of the index's positions; empty if there are none. */
  #epoch = '';
  #nextRoom = 0;
  #isClosed = false;

  constructor(options: InboxesOptions) {
    this.#options = options;
    const { feeds, pubsub, epochs } = options;
    feeds.onPublish((entry) => this.#accept(entry));
    feeds.onState(readMark, (member) => this.#acceptRead(member));
    pubsub.onConnect(() => {
      this.#mustCompareAll = true;
      this.forgetStates();
    });
    epochs.onChange(() => this.forgetStates());
    this.#comparing = every(compareMs, () => this.#compareWithDatabase());
    this.#tidying = every(tidyMs, () => this.#index.forgetEmpty());
  }

  /** How many inboxes are watched. */
  get size(): number {
    return this.#inboxes.size;
  }

  /** READY once no later commit can be missed, then the viewer's rooms as they change. */
  async watch(viewerId: number, lookup: RoomLookup<Room>): Promise<Source<InboxEvent<Room>>> {
    const inbox = this.#open(viewerId);
    const { read, isListed } = lookup;
    const watcher = new InboxWatcher<Room>({
      viewerId,
      showRoom: (roomId) => (isListed ? this.#show(roomId, viewerId) : undefined),
      readRoom: (roomId) => (isListed ? this.#read(roomId, viewerId, read) : this.#look(roomId, viewerId, read)),
      onEnd: () => this.#leave(viewerId, inbox, watcher),
    });
    inbox.watchers.add(watcher);
    try {
      await inbox.opened;
    } catch (error) {
      await watcher.return();
      throw error;
    }
    return watcher;
  }

  /** Notifies the room's viewers that it looks different, without a new log entry. Returns their number. */
  touch(roomId: string): number {
    this.#states.drop(roomId);
    const viewerIds = this.#index.viewersOf(roomId);
    for (const viewerId of viewerIds) this.#change(roomId, viewerId);
    return viewerIds.size;
  }

  /** The viewer's own name has changed, which their rooms contain. */
  forgetViewer(viewerId: number): void {
    for (const roomId of this.#index.roomsOf(viewerId)) this.#states.forget(roomId, viewerId);
  }

  /** Something may have changed that nothing told: each room is read when it is sent next. */
  forgetStates(): void {
    this.#states.clear();
  }

  close(): void {
    this.#isClosed = true;
    void this.#comparing.stop();
    void this.#tidying.stop();
    clearTimeout(this.#tick);
    for (const subscription of this.#entries) subscription.close();
    for (const { reads } of this.#inboxes.values()) reads.close();
  }

  #open(viewerId: number): Inbox<Room> {
    const known = this.#inboxes.get(viewerId);
    if (known !== undefined) return known;
    const { pubsub } = this.#options;
    if (this.#entries.length === 0) {
      this.#entries = allMessageSubjects.map((subject) => pubsub.subscribe(subject, (body) => this.#receive(body)));
    }
    // Register before reading the rooms: the entry of a membership that begins meanwhile names the viewer.
    this.#index.open(viewerId);
    const reads = pubsub.subscribe(ownReadSubject(viewerId), (body) => this.#receiveRead(viewerId, body));
    const inbox: Inbox<Room> = { watchers: new Set(), reads, opened: this.#readRooms(viewerId, reads) };
    this.#inboxes.set(viewerId, inbox);
    return inbox;
  }

  /** The NATS server processes subscriptions in order: when the last one is ready, all are. */
  async #readRooms(viewerId: number, last: Subscription): Promise<void> {
    await last.ready;
    const readAt = performance.now();
    const rooms = await this.#options.store.readInboxes([viewerId]);
    if (this.#epoch === '') this.#epoch = this.#options.epochs.present;
    for (const { roomId, seq, lastReadSeq } of rooms) {
      this.#noteSeq(roomId, seq);
      this.#index.add(roomId, viewerId);
      this.#index.advance(roomId, seq);
      this.#index.advanceRead(roomId, viewerId, lastReadSeq);
    }
    if (this.#inboxes.has(viewerId)) this.#comparedAt.set(viewerId, readAt);
  }

  /** Records a position and, if it is new, notifies the room's viewers. */
  #noteSeq(roomId: string, seq: number): void {
    if (!this.#index.isNews(roomId, seq)) return;
    this.#index.advance(roomId, seq);
    for (const viewerId of this.#index.viewersOf(roomId)) this.#change(roomId, viewerId);
  }

  #leave(viewerId: number, inbox: Inbox<Room>, watcher: InboxWatcher<Room>): void {
    inbox.watchers.delete(watcher);
    if (inbox.watchers.size > 0 || this.#inboxes.get(viewerId) !== inbox) return;
    this.#inboxes.delete(viewerId);
    this.forgetViewer(viewerId);
    this.#index.close(viewerId);
    this.#comparedAt.delete(viewerId);
    inbox.reads.close();
    if (this.#inboxes.size > 0) return;
    for (const subscription of this.#entries) subscription.close();
    this.#entries = [];
    this.forgetStates();
  }

  #receive(body: Uint8Array): void {
    const entry = decodeEntry(body);
    const type = entry.kind === 'reference' ? entry.type : entry.message.type;
    // Only a SYSTEM message can concern a user who is not in the room yet.
    if (type !== 'SYSTEM' && !this.#isNews(roomOf(entry), entry.seq) && entry.epoch === this.#epoch) return;
    if (!this.#options.seal.isOn(body)) {
      // Without a valid seal any client may have published it: compare with the database instead.
      this.#mustCompareAll = true;
      return;
    }
    if (entry.kind === 'reference') {
      if (this.#isOfOtherLog(entry.epoch)) return;
      // The users that it names are only in the database.
      if (entry.type === 'SYSTEM') this.#mustCompareAll = true;
      if (this.#states.lacks(entry.roomId, entry.seq)) this.#states.drop(entry.roomId);
      this.#noteSeq(entry.roomId, entry.seq);
    } else this.#accept(entry);
  }

  /** Also true for an entry that a later one has overtaken. */
  #isNews(roomId: string, seq: number): boolean {
    return this.#index.isNewsHere(roomId, seq) || this.#states.lacks(roomId, seq);
  }

  /** Whether a position belongs to another epoch than the index. A newer epoch triggers a complete comparison. */
  #isOfOtherLog(epoch: string | null): boolean {
    if (epoch === null || epoch === this.#epoch) return false;
    if (epoch > this.#epoch) {
      this.#options.epochs.note(epoch);
      this.#mustCompareAll = true;
    }
    return true;
  }

  #accept(entry: LogEntry): void {
    const { seq, epoch, message } = entry;
    const { roomId, system } = message;
    if (this.#isOfOtherLog(epoch)) return;
    this.#states.accept(entry);
    // A user who joins is indexed now, without waiting for a lookup, so that later entries notify them.
    const joined = system !== null && joins.has(system.code) ? system.userIds : [];
    for (const userId of joined) if (this.#index.add(roomId, userId)) this.#change(roomId, userId);
    this.#noteSeq(roomId, seq);
  }

  #receiveRead(viewerId: number, body: Uint8Array): void {
    const member = readMark.decode(body);
    if (member.userId === viewerId) this.#acceptRead(member);
  }

  #acceptRead(member: Member): void {
    const { roomId, userId, lastReadSeq } = member;
    if (!this.#index.advanceRead(roomId, userId, lastReadSeq)) return;
    this.#states.read(member);
    this.#change(roomId, userId);
  }

  #change(roomId: string, viewerId: number): void {
    const viewerIds = this.#changed.get(roomId);
    if (viewerIds === undefined) this.#changed.set(roomId, new Set([viewerId]));
    else viewerIds.add(viewerId);
    this.#tick ??= setTimeout(() => this.#notify(), Math.max(0, this.#tickedAt + tickMs - performance.now()));
  }

  #notify(): void {
    const now = performance.now();
    this.#tick = undefined;
    this.#tickedAt = now;
    // A little more than the 250 ms that each subscriber keeps between two events of a room.
    const gapMs = this.#options.load.intervalMs('inbox') + tickMs;
    for (const [roomId, sentAt] of this.#sentAt) {
      if (sentAt + gapMs > now) break;
      this.#sentAt.delete(roomId);
    }
    for (const [roomId, viewerIds] of this.#changed) {
      if (this.#sentAt.has(roomId) || this.#states.isWorthWaiting(this.#index.headOf(roomId))) continue;
      this.#changed.delete(roomId);
      this.#sentAt.set(roomId, now);
      for (const viewerId of viewerIds) {
        for (const watcher of this.#inboxes.get(viewerId)?.watchers ?? []) watcher.offer(roomId);
      }
    }
    if (this.#changed.size > 0) this.#tick = setTimeout(() => this.#notify(), tickMs);
  }

  /** Names may have changed unheard while NATS is away. */
  #show(roomId: string, viewerId: number): Room | undefined {
    if (!this.#options.pubsub.isConnected) return undefined;
    return this.#states.show(viewerId, { ...this.#index.positionOf(roomId, viewerId), epoch: this.#epoch });
  }

  async #read(roomId: string, viewerId: number, read: RoomLookup<Room>['read']): Promise<Room | null> {
    const reading = this.#states.beginReading(roomId, viewerId);
    let room: Room | null = null;
    try {
      room = await this.#look(roomId, viewerId, read);
      return room;
    } finally {
      reading.end(this.#inboxes.has(viewerId) ? room : null);
    }
  }

  async #look(roomId: string, viewerId: number, read: RoomLookup<Room>['read']): Promise<Room | null> {
    const room = await read(roomId);
    if (room === null) this.#index.remove(roomId, viewerId);
    // Changes since the lookup were not routed to this viewer: look the room up again.
    else if (this.#index.add(roomId, viewerId)) this.#change(roomId, viewerId);
    return room;
  }

  /**
   * Compares everything while NATS is disconnected and after a reconnect, and otherwise a part each second in turn, because
   * lost messages are rare. A failed comparison is repeated in the next round.
   */
  async #compareWithDatabase(): Promise<void> {
    if (this.#inboxes.size === 0) return;
    const isAway = !this.#options.pubsub.isConnected;
    const epoch = this.#options.epochs.present;
    const isOther = this.#epoch !== '' && epoch !== this.#epoch;
    const isFull = isAway || this.#mustCompareAll || isOther;
    this.#mustCompareAll = isAway;
    try {
      await this.#entries[0]?.ready;
      if (isOther) await this.#compareAllMemberships();
      await this.#compareMemberships(isFull);
      await this.#compareRooms(isFull);
      if (isOther) this.#epoch = epoch;
    } catch (error) {
      this.#mustCompareAll ||= isFull;
      this.#options.log.warn({ err: error }, 'The inboxes could not be compared with the database; retrying');
    }
  }

  async #compareMemberships(isFull: boolean): Promise<void> {
    // The viewers that were compared longest ago come first.
    const due = [...this.#comparedAt].slice(0, isFull ? undefined : viewersPerQuery);
    for (let at = 0; at < due.length && !this.#isClosed; at += viewersPerQuery) {
      const part = due.slice(at, at + viewersPerQuery);
      const now = performance.now();
      const sinceMs = now - Math.min(...part.map(([, comparedAt]) => comparedAt)) + lateCommitMs;
      const viewerIds = part.map(([viewerId]) => viewerId);
      for (const membership of await this.#options.store.readRecentMemberships(viewerIds, sinceMs)) {
        this.#compareMembership(membership);
      }
      for (const viewerId of viewerIds) {
        if (this.#comparedAt.delete(viewerId)) this.#comparedAt.set(viewerId, now);
      }
    }
  }

  /** In another epoch memberships may have never begun, or never ended, so recent changes are not enough. */
  async #compareAllMemberships(): Promise<void> {
    const all = [...this.#inboxes.keys()];
    for (let at = 0; at < all.length && !this.#isClosed; at += viewersPerQuery) {
      const viewerIds = all.slice(at, at + viewersPerQuery);
      const rooms = new Map(viewerIds.map((viewerId) => [viewerId, new Set<string>()]));
      for (const room of await this.#options.store.readInboxes(viewerIds)) {
        rooms.get(room.userId)?.add(room.roomId);
        const { roomId, userId, lastReadSeq } = room;
        if (this.#index.correctRead(roomId, userId, lastReadSeq)) this.#change(roomId, userId);
        this.#compareMembership({ ...room, isMember: true });
      }
      for (const [viewerId, roomIds] of rooms) {
        for (const roomId of this.#index.roomsOf(viewerId)) if (!roomIds.has(roomId)) this.#change(roomId, viewerId);
      }
    }
  }

  #compareMembership({ userId, roomId, seq, lastReadSeq, isMember }: InboxRoom & { isMember: boolean }): void {
    if (!isMember) {
      if (this.#index.viewersOf(roomId).has(userId)) this.#change(roomId, userId);
      return;
    }
    const isNew = this.#index.add(roomId, userId);
    if (isNew) this.#noteSeq(roomId, seq);
    if (this.#index.advanceRead(roomId, userId, lastReadSeq) || isNew) this.#change(roomId, userId);
  }

  async #compareRooms(isFull: boolean): Promise<void> {
    const all = this.#index.positions;
    const start = isFull || this.#nextRoom >= all.length ? 0 : this.#nextRoom;
    const due = isFull ? all : all.slice(start, start + roomsPerQuery);
    this.#nextRoom = start + due.length;
    for (let at = 0; at < due.length && !this.#isClosed; at += roomsPerQuery) {
      const part = due.slice(at, at + roomsPerQuery);
      const thought = new Map(part.map(({ roomId, seq }) => [roomId, seq]));
      for (const { roomId, seq } of await this.#options.store.readMovedRooms(part, this.#epoch)) {
        if (!this.#index.correct(roomId, thought.get(roomId) ?? 0, seq)) continue;
        if (!this.#states.lacks(roomId, seq)) this.#states.drop(roomId);
        for (const viewerId of this.#index.viewersOf(roomId)) this.#change(roomId, viewerId);
      }
    }
  }
}

const joins: ReadonlySet<SystemCode> = new Set<SystemCode>(['ROOM_CREATED', 'MEMBERS_JOINED']);
