import { endsMembership } from '../../../domain/message.js';
import type { LogEntry } from '../../../domain/room-log.js';
import type { Listener, Source } from '../../../domain/source.js';
import {
  type TypingState,
  type TypingStore,
  type Typist,
  typingExpiresInMs,
  typingGapMs,
} from '../../../domain/typing.js';
import { decodeTyping, type TypingSignal } from '../../nats/encoding.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import { typingSubject } from '../../nats/subjects.js';
import type { LoadGauge } from '../load-gauge.js';
import type { RoomFeed } from '../room/room-feed.js';
import { TypingList } from './typing-list.js';
import { type TypingGrant, TypingWatcher } from './typing-watcher.js';
import { type Said, TypingWords } from './typing-words.js';

export interface TypingRoomOptions {
  readonly feed: RoomFeed;
  readonly pubsub: PubSub;
  readonly store: TypingStore;
  readonly load: LoadGauge;
  /** Marks this instance's own signals, which it has applied already when they come back. */
  readonly instanceId: string;
}

/** Of a user who watches the room, signals are accepted without a statement if its feed has all entries up to this age. */
const maxLogAgeMs = 2_000;
/** How long an instance may accept signals without a new permission check, plus the time for delivery. */
const trustMs = typingGapMs + 500;

/**
 * The users who are typing in one room, for all watchers in this process. A user is listed until 6 s after the last signal, a
 * stop, or a message from them; once the room is closed for writing, nobody is. A new room starts from the last seconds of
 * the stream.
 */
export class TypingRoom implements Listener {
  /** Resolves once no later signal can be missed. */
  readonly opened: Promise<void>;
  readonly #options: TypingRoomOptions;
  readonly #words = new TypingWords();
  readonly #watchers = new Set<TypingWatcher>();
  /** Current until `#listedUntil`: then a signal expires. */
  #list: TypingList;
  #listedUntil = Number.POSITIVE_INFINITY;
  readonly #subscription: Subscription;
  #position: number;
  #epoch: string;
  /** The feed's change count when it was last read. */
  #followed = 0;
  /** This room sees everything that ends a signal from this time on. Earlier beginnings have to be checked in the database. */
  #knowsFrom = Number.POSITIVE_INFINITY;
  /** The newest beginning of each user that still has to be checked in the database. */
  readonly #unchecked = new Map<number, Typist>();
  /** The position at which each user's membership last ended. An instance that was behind it may have accepted later signals. */
  readonly #endedAt = new Map<number, number>();
  #checking: Promise<void> | undefined;
  #verifying: Promise<void> | undefined;
  #isOpen = false;
  #isClosed = false;
  #isCancelled = false;
  #lapse: NodeJS.Timeout | undefined;

  constructor(options: TypingRoomOptions) {
    const { feed, pubsub, instanceId } = options;
    this.#options = options;
    this.#list = new TypingList(feed.roomId, []);
    this.#position = feed.head;
    this.#epoch = feed.epoch;
    this.#subscription = pubsub.subscribe(typingSubject(feed.roomId), (body) => {
      const signal = decodeTyping(body);
      if (signal.from !== instanceId) this.signal(signal);
    });
    feed.listen(this);
    this.opened = this.#open();
  }

  get roomId(): string {
    return this.#options.feed.roomId;
  }

  /** The users who are typing now, in the order in which they began. */
  get typists(): Typist[] {
    return this.#words.typists;
  }

  signal({ ageMs, seq = null, ...said }: TypingSignal): void {
    // Read the log first: a signal from before a message must not restart what the message ended.
    this.#catchUp();
    this.#hear({ ...said, seq, saidAt: performance.now() - ageMs });
  }

  watch(grant: TypingGrant, onEnd: () => void): Source<TypingState> {
    const watcher = new TypingWatcher(grant, {
      load: this.#options.load,
      findState: (viewerId) => this.#stateFor(viewerId),
      onEnd: () => {
        this.#watchers.delete(watcher);
        onEnd();
      },
    });
    this.#watchers.add(watcher);
    if (this.#mayHaveEnded(grant)) watcher.doubt();
    return watcher;
  }

  /**
   * The head of the room's log if this process knows that the user may write in the room: they watch it here, and the feed
   * shows that nothing has ended that. Null if the permission has to be read.
   */
  seqForWriter(userId: number): number | null {
    this.#catchUp();
    const { feed } = this.#options;
    if (!this.#isOpen || this.#isCancelled || !feed.isCurrent(maxLogAgeMs)) return null;
    for (const { viewerId, mayWrite } of this.#watchers) if (viewerId === userId && mayWrite) return feed.head;
    return null;
  }

  /** Whether an entry after the grant has ended the membership, or one that is not in memory may have. */
  #mayHaveEnded({ viewerId, head, epoch }: TypingGrant): boolean {
    const { feed } = this.#options;
    if (epoch !== feed.epoch || head < feed.floor) return true;
    for (let entry = feed.entryAfter(head); entry !== undefined; entry = feed.entryAfter(entry.seq)) {
      if (endsMembership(entry.message, viewerId)) return true;
    }
    return false;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#lapse);
    this.#options.feed.forget(this);
    this.#options.feed.release();
    this.#subscription.close();
  }

  async #open(): Promise<void> {
    const { feed, pubsub } = this.#options;
    await Promise.all([feed.opened, this.#subscription.ready]);
    this.#knowsFrom = performance.now() + trustMs;
    this.#position = feed.head;
    this.#epoch = feed.epoch;
    this.#isOpen = true;
    this.#follow();
    const { said } = await readWords(pubsub, feed.roomId);
    for (const each of said) this.#hear(each);
    await this.#check();
  }

  #hear(said: Said): void {
    const { userId, isTyping, saidAt, seq } = said;
    if (isTyping && seq !== null && seq < (this.#endedAt.get(userId) ?? 0)) return;
    if (!isTyping || saidAt >= this.#knowsFrom) {
      this.#note(said);
    } else {
      if (saidAt > (this.#unchecked.get(userId)?.saidAt ?? 0)) this.#unchecked.set(userId, said);
      if (this.#isOpen) void this.#check();
    }
  }

  /** The current list without the viewer: the same object until it changes, for all viewers who do not type themselves. */
  #stateFor(viewerId: number): TypingState {
    this.#catchUp();
    if (performance.now() >= this.#listedUntil) {
      const userIds = this.#words.typists.map(({ userId }) => userId);
      if (!this.#list.hasSame(userIds)) this.#list = new TypingList(this.roomId, userIds);
      this.#listedUntil = this.#words.lapsesAt ?? Number.POSITIVE_INFINITY;
    }
    return this.#list.stateFor(viewerId);
  }

  /** Reads what the feed already has, before anything is sent: it may have ended the membership of a watcher. */
  #catchUp(): void {
    if (this.#isOpen && this.#options.feed.changes !== this.#followed) this.#follow();
  }

  wake(): void {
    this.#catchUp();
  }

  /**
   * Resolves once nobody is listed whose message, leaving or removal was committed before the call, even if the feed does not
   * have it yet. Never rejects: a wrong state expires.
   */
  async verify(): Promise<void> {
    if (this.#words.typists.length === 0) return;
    this.#verifying ??= new Promise((resolve) => {
      // One query for all callers of this event loop turn.
      setImmediate(() => {
        this.#verifying = undefined;
        resolve(this.#verifyNow());
      });
    });
    return this.#verifying;
  }

  async #verifyNow(): Promise<void> {
    const { typists } = this.#words;
    const kept = new Set(await this.#keep(typists));
    const gone = typists.filter((typist) => !kept.has(typist) && this.#words.retract(typist));
    if (gone.length > 0) this.#notify();
  }

  /** Lists the unchecked users whose typing no message or end of membership in the database has ended. */
  async #check(): Promise<void> {
    if (this.#unchecked.size > 0) this.#checking ??= this.#checkAll();
    await this.#checking;
  }

  async #checkAll(): Promise<void> {
    while (this.#unchecked.size > 0) {
      const typists = [...this.#unchecked.values()].sort((a, b) => a.saidAt - b.saidAt);
      this.#unchecked.clear();
      for (const typist of await this.#keep(typists)) this.#note({ ...typist, isTyping: true });
    }
    this.#checking = undefined;
  }

  /** Without an answer of the database nobody counts as typing: users who still type repeat their signal. */
  #keep(typists: readonly Typist[]): Promise<readonly Typist[]> {
    return this.#options.store.keepTyping(this.roomId, typists).catch(() => []);
  }

  /** Reads new log entries: a message ends its author's typing, and the end of a membership ends the user's subscription. */
  #follow(): void {
    const { feed } = this.#options;
    this.#followed = feed.changes;
    // Entries that the feed has dropped, or that belong to another epoch, may have been messages or changes of any member.
    if (feed.floor > this.#position || feed.epoch !== this.#epoch) {
      this.#epoch = feed.epoch;
      this.#position = feed.floor;
      this.#isCancelled = false;
      this.#endedAt.clear();
      for (const watcher of this.#watchers) watcher.doubt();
      void this.verify();
    }
    for (let entry = feed.entryAfter(this.#position); entry !== undefined; entry = feed.entryAfter(this.#position)) {
      this.#position = entry.seq;
      this.#applyEntry(entry);
    }
    this.#position = feed.head;
  }

  #applyEntry({ message, kind, seq }: LogEntry): void {
    const now = performance.now();
    const { system } = message;
    if (kind === 'added' && system === null) this.#end(message.senderId, now);
    for (const userId of system?.userIds ?? []) {
      this.#words.pardon(userId);
      if (!endsMembership(message, userId)) continue;
      this.#endedAt.set(userId, seq);
      // Another instance may still accept signals of this user for a moment.
      this.#end(userId, now + trustMs);
      for (const watcher of this.#watchers) if (watcher.viewerId === userId) watcher.doubt();
    }
    if (system?.code !== 'BOOKING_CANCELLED') return;
    this.#isCancelled = true;
    for (const { userId } of this.#words.typists) this.#end(userId, now);
  }

  #end(userId: number, saidAt: number): void {
    this.#note({ userId, isTyping: false, saidAt, seq: null });
  }

  #note(said: Said): void {
    const { isTyping, saidAt } = said;
    if (isTyping && (this.#isCancelled || saidAt + typingExpiresInMs <= performance.now())) return;
    if (this.#words.note(said)) this.#notify();
    if (isTyping || this.#lapse === undefined) this.#waitForLapse();
  }

  #waitForLapse(): void {
    clearTimeout(this.#lapse);
    this.#lapse = undefined;
    if (this.#isClosed || this.#words.size === 0) return;
    const now = performance.now();
    const lapsesAt = this.#words.lapsesAt ?? now + typingExpiresInMs;
    this.#lapse = setTimeout(() => this.#dropLapsed(), Math.max(0, lapsesAt - now) + 1);
  }

  #dropLapsed(): void {
    if (this.#words.dropLapsed()) this.#notify();
    this.#waitForLapse();
  }

  #notify(): void {
    this.#listedUntil = Number.NEGATIVE_INFINITY;
    for (const watcher of this.#watchers) watcher.wake();
  }
}

/**
 * The signals of the stream's last seconds. They may belong to users who have sent a message since or are not members any
 * more: check them in the database.
 */
export async function readWords(pubsub: PubSub, roomId: string): Promise<TypingWords> {
  const words = new TypingWords();
  for (const { body, at } of await pubsub.recent(typingSubject(roomId), typingExpiresInMs)) {
    try {
      const { userId, isTyping, ageMs, seq = null } = decodeTyping(body);
      words.note({ userId, isTyping, saidAt: at - ageMs, seq });
    } catch {
      // Any NATS client may publish to the subject.
    }
  }
  return words;
}
