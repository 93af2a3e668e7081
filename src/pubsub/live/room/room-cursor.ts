import { setTimeout as delay } from 'node:timers/promises';
import { ChatError, SlowConsumerError } from '../../../domain/errors.js';
import { endsMembership } from '../../../domain/message.js';
import type { RoomEvent } from '../../../domain/room-event.js';
import { type LogEntry, type LogStore, logPageSize } from '../../../domain/room-log.js';
import { PullSource } from '../pull-source.js';
import type { RoomFeed } from './room-feed.js';

export interface CursorOptions {
  /** Held for the cursor, which releases it. */
  readonly feed: RoomFeed;
  readonly store: LogStore;
  readonly viewerId: number;
  /** Where the log stood when the subscription was granted, and in which epoch. */
  readonly head: number;
  readonly epoch: string;
  /** The subscriber has everything up to here, or something else. */
  readonly afterSeq: number;
  /** Up to where what the subscriber has and the log are the same, at most the head. */
  readonly commonSeq: number;
  /** Further behind the live end than this many entries is a slow consumer. */
  readonly maxLag: number;
  /** Whether it can be said that the log is another one; else what came behind what is common is brought again. */
  readonly mayResync: boolean;
}

const retryMs = 1_000;
/** The feed follows the database into another epoch sooner than this. */
const otherEpochMs = 100;

/**
 * One subscriber's position in one room's log. It pulls: an event is looked up when the subscriber asks for it, so a
 * subscriber that does not ask costs a few numbers, however much happens meanwhile. Its end releases the feed at once.
 *
 * Ends with FORBIDDEN instead of the entry that tells that the viewer's membership ended, or before, and with a
 * SlowConsumerError when the subscriber fell too far behind while it was live.
 */
export class RoomCursor extends PullSource<RoomEvent> {
  // Fields of its own, not one of the options as they were given: those are put together for each subscriber anew, and
  // reading them cost more than all else on the way of an event.
  readonly #feed: RoomFeed;
  readonly #store: LogStore;
  readonly #viewerId: number;
  readonly #maxLag: number;
  readonly #mayResync: boolean;
  #head: number;
  #epoch: string;
  #position: number;
  /** Something that it was given may be as a later entry left it, up to here. */
  #reach: number;
  #readVersion: number;
  /** What is read from the database until it is done: a replay, or a part that has left the feed's memory. */
  #replay:
    | { readonly base: number; readonly upTo: number; pages: number; page: LogEntry[]; isRead: boolean }
    | undefined;
  /** What the subscriber has belongs to another log: it goes on from here. */
  #resyncAt: number | undefined;
  #isReady = false;
  /** In an epoch before. */
  #wasReady = false;
  /** For what waits for its turn; made when something does. */
  #ending: AbortController | undefined;

  constructor({ feed, store, viewerId, head, epoch, afterSeq, commonSeq, maxLag, mayResync }: CursorOptions) {
    super();
    this.#feed = feed;
    this.#store = store;
    this.#viewerId = viewerId;
    this.#head = head;
    this.#epoch = epoch;
    this.#maxLag = maxLag;
    this.#mayResync = mayResync;
    this.#readVersion = feed.readVersion;
    this.#position = Math.min(afterSeq, commonSeq);
    this.#reach = this.#position;
    if (afterSeq > commonSeq && mayResync) this.#resyncAt = head;
    else if (this.#position < head) this.#startReplay(head);
    feed.listen(this);
  }

  /** The next entry where it is in the feed's memory and needs no look at the database: nearly always. */
  override peek(): LogEntry | undefined {
    const entry = this.#isLive ? this.#feed.entryAfter(this.#position) : undefined;
    return entry === undefined || this.#mustAssertMember(entry) ? undefined : entry;
  }

  override skip(shown: RoomEvent): void {
    this.#position = shown.seq;
  }

  override get isIdle(): boolean {
    const feed = this.#feed;
    return this.#isReady && this.#isLive && this.#position === feed.head && this.#readVersion === feed.readVersion;
  }

  /** What comes next is in the feed's memory, if it is there at all. */
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

  /** The next event that is there already, or that the database has. */
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
    const read = feed.readAfter(this.#readVersion);
    // What was read lies ahead, and perhaps the end of the viewer's membership before it: its turn comes behind both.
    if (read === undefined || read.member.lastReadSeq > this.#position) return undefined;
    this.#readVersion = read.version;
    return feed.readAt(read, this.#position);
  }

  /** What may tell of more than a former member may know is delivered only to who is a member at this moment. */
  async #deliver(entry: LogEntry): Promise<LogEntry> {
    if (this.#mustAssertMember(entry)) await this.#assertMember();
    this.#position = entry.seq;
    this.#reach = Math.max(this.#reach, entry.message.changedSeq);
    return entry;
  }

  /** Into its epoch: from what is common on, if the subscriber has nothing else. Perhaps no member of the room there. */
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
      // Nothing is known to be common: all of the log would be brought again to somebody who cannot tell why.
      const isUnknown = common === 0 && !this.#mayResync;
      this.#position = Math.min(this.#position, isUnknown ? this.#feed.head : common);
    }
    await this.#assertMember();
  }

  /** A replay may tell of an old leaving, from before they came back. */
  #mustAssertMember(entry: LogEntry): boolean {
    return endsMembership(entry.message, this.#viewerId) || this.#isFromLater(entry);
  }

  /** It was read from the database after a later change. */
  #isFromLater({ seq, message }: LogEntry): boolean {
    return message.changedSeq > Math.max(seq, this.#head);
  }

  async #assertMember(): Promise<void> {
    if (await this.#patiently(() => this.#store.isMember(this.#feed.roomId, this.#viewerId))) return;
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
      // One that is live already and has fallen behind waits however long it takes.
      const wait = { isPatient: this.#isReady || this.#wasReady, signal: this.#endSignal };
      const page = await this.#patiently(() => this.#store.replayPage(range, this.#viewerId, wait));
      if (page.some(({ epoch }) => epoch !== this.#epoch)) {
        this.#feed.doubt();
        await delay(otherEpochMs, undefined, { ref: false });
        return undefined;
      }
      replay.page = page;
      replay.isRead = replay.page.length < logPageSize;
      replay.pages += 1;
      // A long replay must not outlast a membership that ended meanwhile by more than a page.
      if (replay.pages > 1) await this.#assertMember();
    }
    const entry = replay.page.shift();
    if (entry === undefined && replay.isRead) {
      // What lies between the last entry and upTo has been compacted away.
      this.#position = Math.max(this.#position, replay.upTo);
      this.#replay = undefined;
    }
    return entry;
  }

  /** A database that is away for a moment delays a subscriber but does not end it. */
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

  /** Aborted when it ends. */
  readonly #endSignal = (): AbortSignal => {
    this.#ending ??= new AbortController();
    return this.#ending.signal;
  };

  protected onEnd(): void {
    this.#ending?.abort('The subscription has ended');
    this.#replay = undefined;
    this.#feed.forget(this);
    this.#feed.release();
  }
}
