import { setTimeout as delay } from 'node:timers/promises';
import { ChatError, SlowConsumerError } from '../../../domain/errors.js';
import { endsMembership } from '../../../domain/message.js';
import type { RoomEvent } from '../../../domain/room-event.js';
import { type LogEntry, type LogStore, logPageSize } from '../../../domain/room-log.js';
import { PullSource } from '../pull-source.js';
import type { RoomFeed } from './room-feed.js';
import type { StateSubscription } from './room-states.js';
import type { StateNews, StateOutlet } from './state-outlet.js';

export interface CursorOptions {
  /** Held by the caller for the cursor; the cursor releases it. */
  readonly feed: RoomFeed;
  readonly store: LogStore;
  readonly viewerId: number;
  /** The position of the log when the subscription was granted, in `epoch`. */
  readonly head: number;
  readonly epoch: string;
  /** The position that the subscriber claims to have; its entries may be those of another log. */
  readonly afterSeq: number;
  /** The position up to which the subscriber's entries and the log are the same; at most `head`. */
  readonly commonSeq: number;
  /** A live subscriber more than this many entries behind is a slow consumer. */
  readonly maxLag: number;
  /** Whether the subscription can send a resync event; otherwise the entries after `commonSeq` are sent again. */
  readonly mayResync: boolean;
  /** The states that the subscriber gets beside the entries. */
  readonly states: readonly StateSubscription[];
  /** Whether the peer is too slow for what is sent to it. */
  readonly isBehind: () => boolean;
}

/** A subscriber's position among the states of one kind. */
interface Followed {
  readonly outlet: StateOutlet;
  /** Of the last state that the subscriber got, or of the newest one at its start. */
  version: number;
}

const retryMs = 1_000;
/** The feed needs less time to change to another epoch. */
const otherEpochMs = 100;

/**
 * One subscriber's position in one room's log. An event is looked up when the subscriber asks for it, so a subscriber that
 * does not ask costs a few numbers, regardless of the number of events. Ending the cursor releases the feed at once.
 *
 * Ends with FORBIDDEN no later than at the entry that ends the viewer's membership, which is not sent, and with a
 * SlowConsumerError if a live subscriber falls too far behind.
 */
export class RoomCursor extends PullSource<RoomEvent> {
  // Separate fields instead of the options object, which is created for each subscriber: reading it cost more than all else
  // in the delivery of an event.
  readonly viewerId: number;
  readonly #feed: RoomFeed;
  readonly #store: LogStore;
  readonly #maxLag: number;
  readonly #mayResync: boolean;
  readonly #isBehind: () => boolean;
  #head: number;
  #epoch: string;
  #position: number;
  /** The position when the subscriber last asked for more, and so had been sent everything up to there. */
  #given: number;
  /** Entries that were sent already may include changes up to this position. */
  #reach: number;
  readonly #followed: readonly Followed[];
  /** The event of states that `peek` has returned. */
  #peeked: { readonly followed: Followed; readonly news: StateNews } | undefined;
  /** The current read from the database: a replay, or entries that have left the feed's memory. */
  #replay:
    | { readonly base: number; readonly upTo: number; pages: number; page: LogEntry[]; isRead: boolean }
    | undefined;
  /** Set if the subscriber's entries belong to another log: the position at which it continues after a resync event. */
  #resyncAt: number | undefined;
  #isReady = false;
  /** Whether it was ready in an earlier epoch. */
  #wasReady = false;
  /** Cancels a read that waits for its turn; created by the first one. */
  #ending: AbortController | undefined;

  constructor(options: CursorOptions) {
    super();
    const { feed, store, viewerId, head, epoch, afterSeq, commonSeq, maxLag, mayResync, states, isBehind } = options;
    this.#feed = feed;
    this.#store = store;
    this.viewerId = viewerId;
    this.#head = head;
    this.#epoch = epoch;
    this.#maxLag = maxLag;
    this.#mayResync = mayResync;
    this.#isBehind = isBehind;
    this.#followed = states.map(({ kind, delivery }) => {
      const outlet = feed.states.of(kind, delivery);
      return { outlet, version: outlet.version };
    });
    this.#position = Math.min(afterSeq, commonSeq);
    this.#reach = this.#position;
    this.#given = this.#position;
    if (afterSeq > commonSeq && mayResync) this.#resyncAt = head;
    else if (this.#position < head) this.#startReplay(head);
    feed.listen(this);
    for (const { outlet } of this.#followed) outlet.listen(this);
  }

  /** Returns the next event if it is in memory and needs no query, which is nearly always the case. */
  override peek(): RoomEvent | undefined {
    this.#given = this.#position;
    const isLive = this.#isLive;
    const entry = isLive ? this.#feed.entryAfter(this.#position) : this.#nextOfPage;
    if (entry !== undefined) return this.#mustAssertMember(entry) ? undefined : entry;
    return isLive && this.#isReady ? this.#peekStates() : undefined;
  }

  override skip(shown: RoomEvent): void {
    const { followed, news } = this.#peeked ?? {};
    this.#peeked = undefined;
    if (followed !== undefined && news?.event === shown) {
      followed.version = news.version;
      return;
    }
    this.#position = shown.seq;
    const replayed = this.#replay?.page.shift();
    if (replayed !== undefined) this.#reach = Math.max(this.#reach, replayed.message.changedSeq);
  }

  /** The next entry of the page that a replay has read: a page of the same entries is sent to many who return together. */
  get #nextOfPage(): LogEntry | undefined {
    if (this.isEnded || this.#epoch !== this.#feed.epoch || this.#resyncAt !== undefined) return undefined;
    return this.#replay?.page[0];
  }

  /** When the oldest entry arrived that this process has not sent yet to the live subscriber, whose peer reads. */
  get waitsSince(): number | undefined {
    const feed = this.#feed;
    if (this.#given >= feed.head || !this.#isReady || this.#epoch !== feed.epoch || this.#isBehind()) return undefined;
    return feed.arrivalAfter(this.#given);
  }

  override get isIdle(): boolean {
    if (!this.#isReady || !this.#isLive || this.#position !== this.#feed.head) return false;
    for (const { outlet, version } of this.#followed) if (version !== outlet.version) return false;
    return true;
  }

  /** Returns the next event of states. It comes after all entries in the feed's memory. */
  #peekStates(): RoomEvent | undefined {
    for (const followed of this.#followed) {
      const { outlet, version } = followed;
      if (version === outlet.version) continue;
      const news = outlet.next(version, { seq: this.#position, epoch: this.#epoch });
      if (news === undefined) continue;
      this.#peeked = { followed, news };
      return news.event;
    }
    return undefined;
  }

  /** Whether the next event, if there is one, is in the feed's memory. */
  get #isLive(): boolean {
    const feed = this.#feed;
    return (
      !this.isEnded &&
      this.#epoch === feed.epoch &&
      this.#resyncAt === undefined &&
      this.#replay === undefined &&
      this.#position >= feed.floor
    );
  }

  /** Returns the next event from the feed's memory or the database; undefined if there is none. */
  protected async take(): Promise<RoomEvent | undefined> {
    const feed = this.#feed;
    for (;;) {
      if (this.#epoch > feed.epoch) {
        feed.doubt();
        return undefined;
      }
      if (this.#epoch !== feed.epoch) await this.#followFeed();
      if (this.#resyncAt !== undefined) return this.#resync(this.#resyncAt);
      if (!this.#mustReplay()) break;
      const replayed = await this.#nextReplayed();
      if (replayed !== undefined) return this.#deliver(replayed);
    }
    const entry = feed.entryAfter(this.#position);
    if (entry !== undefined) return this.#deliver(entry);
    if (!this.#isReady) {
      this.#isReady = true;
      return feed.readyAt(this.#position);
    }
    const event = this.#peekStates();
    if (event !== undefined) this.skip(event);
    return event;
  }

  /** Checks the membership first if the entry may contain more than a former member may see. */
  async #deliver(entry: LogEntry): Promise<LogEntry> {
    if (this.#mustAssertMember(entry)) await this.#assertMember();
    this.#position = entry.seq;
    this.#reach = Math.max(this.#reach, entry.message.changedSeq);
    return entry;
  }

  /**
   * Changes to the feed's epoch. Continues after the last common position, or with a resync event if the subscriber has later
   * entries. The viewer may not be a member in that epoch.
   */
  async #followFeed(): Promise<void> {
    const common = this.#feed.commonWith(this.#epoch);
    this.#epoch = this.#feed.epoch;
    this.#head = Math.min(this.#head, common);
    this.#replay = undefined;
    this.#resyncAt = undefined;
    this.#wasReady ||= this.#isReady;
    this.#isReady = false;
    if (Math.max(this.#position, this.#reach) > common) {
      if (this.#mayResync) this.#resyncAt = this.#feed.head;
      // No common position is known: the whole log would be sent again to a client that gets no resync event.
      const isUnknown = common === 0 && !this.#mayResync;
      this.#position = Math.min(this.#position, isUnknown ? this.#feed.head : common);
    }
    await this.#assertMember();
  }

  /** The membership has to be checked, because a replay may contain an earlier end of it, before the viewer returned. */
  #mustAssertMember(entry: LogEntry): boolean {
    return endsMembership(entry.message, this.viewerId) || this.#isFromLater(entry);
  }

  /** Whether the entry was read from the database after a later change of its message. */
  #isFromLater({ seq, message }: LogEntry): boolean {
    return message.changedSeq > Math.max(seq, this.#head);
  }

  async #assertMember(): Promise<void> {
    if (await this.#patiently(() => this.#store.isMember(this.#feed.roomId, this.viewerId))) return;
    throw new ChatError('FORBIDDEN', 'Your membership in this room has ended');
  }

  #resync(seq: number): RoomEvent {
    this.#resyncAt = undefined;
    this.#replay = undefined;
    this.#position = seq;
    this.#reach = seq;
    return { kind: 'resync', seq, epoch: this.#epoch };
  }

  #startReplay(upTo: number): void {
    this.#replay = { base: this.#position, upTo, pages: 0, page: [], isRead: false };
  }

  #mustReplay(): boolean {
    const feed = this.#feed;
    if (this.#replay === undefined && this.#position < feed.floor) {
      if (this.#isReady && feed.head - this.#position > this.#maxLag) throw new SlowConsumerError();
      this.#startReplay(feed.head);
    }
    return this.#replay !== undefined;
  }

  async #nextReplayed(): Promise<LogEntry | undefined> {
    const replay = this.#replay;
    if (replay === undefined) return undefined;
    if (replay.page.length === 0 && !replay.isRead) {
      const { base, upTo } = replay;
      const range = { roomId: this.#feed.roomId, base, after: this.#position, upTo };
      // A subscriber that was live before and has fallen behind waits for its turn without a limit.
      const wait = { isPatient: this.#isReady || this.#wasReady, signal: this.#endSignal };
      const page = await this.#patiently(() => this.#store.replayPage(range, this.viewerId, wait));
      if (page.some(({ epoch }) => epoch !== this.#epoch)) {
        this.#feed.doubt();
        await delay(otherEpochMs, undefined, { ref: false });
        return undefined;
      }
      replay.page = [...page];
      replay.isRead = replay.page.length < logPageSize;
      replay.pages += 1;
      // After the end of the membership, a long replay must send one more page at most.
      if (replay.pages > 1) await this.#assertMember();
    }
    const entry = replay.page.shift();
    if (entry === undefined && replay.isRead) {
      // Positions between the last entry and upTo have been compacted away.
      this.#position = Math.max(this.#position, replay.upTo);
      this.#replay = undefined;
    }
    return entry;
  }

  /** Retries while the database is unavailable, which delays the subscriber but does not end it. */
  async #patiently<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await read();
      } catch (error) {
        if (this.isEnded || !(error instanceof ChatError) || error.code !== 'UNAVAILABLE') throw error;
        await delay(retryMs, undefined, { ref: false });
      }
    }
  }

  /** Aborts when the cursor ends. */
  readonly #endSignal = (): AbortSignal => {
    this.#ending ??= new AbortController();
    return this.#ending.signal;
  };

  protected onEnd(): void {
    this.#ending?.abort('The subscription has ended');
    this.#replay = undefined;
    this.#feed.forget(this);
    for (const { outlet } of this.#followed) outlet.forget(this);
    this.#feed.release();
  }
}
