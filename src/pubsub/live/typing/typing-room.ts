import { ChatError } from '../../../domain/errors.js';
import { endsMembership } from '../../../domain/message.js';
import type { LogEntry } from '../../../domain/room-log.js';
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
import { PullIterator } from '../pull-iterator.js';
import type { RoomFeed } from '../room/room-feed.js';
import { type Said, TypingWords } from './typing-words.js';

export interface TypingGrant {
  readonly viewerId: number;
  /** Where the room's log stood when the viewer was known to be a member. */
  readonly head: number;
  readonly epoch: string;
  readonly isMember: () => Promise<boolean>;
  readonly isHeldBack: () => boolean;
}

export interface TypingRoomOptions {
  readonly feed: RoomFeed;
  readonly pubsub: PubSub;
  readonly store: TypingStore;
  /** What this instance calls itself in its own signals, which it applies by itself. */
  readonly instanceId: string;
}

/** Between two lists to one subscriber, so that however many type, no second brings more than four. */
const minGapMs = 300;
/** An instance accepts signals for this long without a new look at who may write, and they are on their way for a moment. */
const trustMs = typingGapMs + 500;

/**
 * Who types in one room, for all who watch it here: until 6 s after the last signal, an explicit stop, or a message from
 * them; and nobody once the room is closed for writing. Who comes late starts from the last seconds of the stream.
 */
export class TypingRoom {
  /** Resolves once nothing that is told from here on is missed. */
  readonly opened: Promise<void>;
  readonly #options: TypingRoomOptions;
  readonly #words = new TypingWords();
  readonly #watchers = new Set<TypingWatcher>();
  /** What watchers were told since the last change, by whom it names. */
  readonly #states = new Map<string, TypingState>();
  readonly #subscription: Subscription;
  #position: number;
  #epoch: string;
  /** The feed's count of changes, as of the last look at it. */
  #followed = 0;
  /** Whatever ends what was said from here on is heard of by this room; before, only the database knows all. */
  #knowsFrom = Number.POSITIVE_INFINITY;
  /** Beginnings that the database has yet to be asked about: the newest of each user. */
  readonly #unchecked = new Map<number, Typist>();
  #checking: Promise<void> | undefined;
  #verifying: Promise<void> | undefined;
  #isOpen = false;
  #isClosed = false;
  #isCancelled = false;
  #lapse: NodeJS.Timeout | undefined;
  #forgetFeed: () => void = () => undefined;

  constructor(options: TypingRoomOptions) {
    const { feed, pubsub, instanceId } = options;
    this.#options = options;
    this.#position = feed.head;
    this.#epoch = feed.epoch;
    this.#subscription = pubsub.subscribe(typingSubject(feed.roomId), (body) => {
      const signal = decodeTyping(body);
      if (signal.from !== instanceId) this.signal(signal);
    });
    this.opened = this.#open();
  }

  get roomId(): string {
    return this.#options.feed.roomId;
  }

  /** Who types now, those first who began first. */
  get typists(): Typist[] {
    return this.#words.typists;
  }

  /** One state for all who are told of the same typists. */
  stateOf(userIds: readonly number[]): TypingState {
    const key = userIds.join();
    const state = this.#states.get(key) ?? { roomId: this.roomId, userIds };
    this.#states.set(key, state);
    return state;
  }

  signal({ ageMs, seq = null, ...said }: TypingSignal): void {
    // What the log has already ended does not begin again by a signal from before that.
    this.catchUp();
    this.#hear({ ...said, seq, saidAt: performance.now() - ageMs });
  }

  watch(grant: TypingGrant, onEnd: () => void): AsyncIterableIterator<TypingState> {
    const watcher = new TypingWatcher(this, grant, () => {
      this.#watchers.delete(watcher);
      onEnd();
    });
    this.#watchers.add(watcher);
    // What came behind the grant may have ended the membership again.
    const { head, epoch } = this.#options.feed;
    if (head > grant.head || epoch !== grant.epoch) watcher.doubt();
    return watcher.states;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#lapse);
    this.#forgetFeed();
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
    const { userId, isTyping, saidAt } = said;
    if (!isTyping || saidAt >= this.#knowsFrom) {
      this.#note(said);
    } else {
      if (saidAt > (this.#unchecked.get(userId)?.saidAt ?? 0)) this.#unchecked.set(userId, said);
      if (this.#isOpen) void this.#check();
    }
  }

  /** What the feed has already comes first: it may have ended the membership of who is to be told something. */
  catchUp(): void {
    if (!this.#isOpen || this.#options.feed.changes === this.#followed) return;
    this.#forgetFeed();
    this.#follow();
  }

  /**
   * Resolves once nobody is listed whose message, leaving or removal is committed at the moment of the call, also where
   * the feed is yet to hear of it. Never fails: what is wrong by then lapses.
   */
  async verify(): Promise<void> {
    if (this.#words.typists.length === 0) return;
    this.#verifying ??= new Promise((resolve) => {
      // One look for all who ask in one turn.
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
    if (gone.length > 0) this.#tell();
  }

  /** Lets those begin of whom the database knows no end. */
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

  /** Where the database does not answer, nobody types: what is not said lapses. */
  #keep(typists: readonly Typist[]): Promise<readonly Typist[]> {
    return this.#options.store.keepTyping(this.roomId, typists).catch(() => []);
  }

  /** The room's log: who has sent a message types no more, and who is no member sees nothing. */
  #follow(): void {
    const { feed } = this.#options;
    const { changes } = feed;
    this.#followed = changes;
    // What has left the feed's memory, or is in another log, may have been anybody's message, leaving or coming back.
    if (feed.floor > this.#position || feed.epoch !== this.#epoch) {
      this.#epoch = feed.epoch;
      this.#position = feed.floor;
      this.#isCancelled = false;
      for (const watcher of this.#watchers) watcher.doubt();
      void this.verify();
    }
    for (let entry = feed.entryAfter(this.#position); entry !== undefined; entry = feed.entryAfter(this.#position)) {
      this.#position = entry.seq;
      this.#heed(entry);
    }
    this.#position = feed.head;
    this.#forgetFeed = feed.onChange(changes, () => this.#follow());
  }

  #heed({ message, kind }: LogEntry): void {
    const now = performance.now();
    const { system } = message;
    if (kind === 'added' && system === null) this.#end(message.senderId, now);
    for (const userId of system?.userIds ?? []) {
      this.#words.pardon(userId);
      if (!endsMembership(message, userId)) continue;
      // Another instance may take them for a member for a moment yet.
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
    if (this.#words.note(said)) this.#tell();
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
    if (this.#words.dropLapsed()) this.#tell();
    this.#waitForLapse();
  }

  #tell(): void {
    this.#states.clear();
    for (const watcher of this.#watchers) watcher.states.wake();
  }
}

/**
 * What was said in the stream's last seconds. It does not know who has sent a message since, or is no member any more: the
 * database does, and is asked only where somebody types.
 */
export async function readWords(pubsub: PubSub, roomId: string): Promise<TypingWords> {
  const words = new TypingWords();
  for (const { body, at } of await pubsub.recent(typingSubject(roomId), typingExpiresInMs)) {
    try {
      const { userId, isTyping, ageMs, seq = null } = decodeTyping(body);
      words.note({ userId, isTyping, saidAt: at - ageMs, seq });
    } catch {
      // Anybody may have written to the subject.
    }
  }
  return words;
}

/** One subscription: the present list first, then each that differs from the one before, the viewer left out. */
class TypingWatcher {
  readonly viewerId: number;
  readonly states: PullIterator<TypingState>;
  readonly #room: TypingRoom;
  readonly #grant: TypingGrant;
  #told: readonly number[] | undefined;
  /** By when the last list was sent: the subscriber has asked for more. Undefined while it is on its way. */
  #sentAt: number | undefined = Number.NEGATIVE_INFINITY;
  #isDoubted = false;
  #gap: NodeJS.Timeout | undefined;

  constructor(room: TypingRoom, grant: TypingGrant, onEnd: () => void) {
    this.viewerId = grant.viewerId;
    this.#room = room;
    this.#grant = grant;
    this.states = new PullIterator({
      take: () => this.#take(),
      isHeldBack: grant.isHeldBack,
      onEnd: () => {
        clearTimeout(this.#gap);
        onEnd();
      },
    });
  }

  /** The viewer may not be a member any more. */
  doubt(): void {
    this.#isDoubted = true;
    this.states.wake();
  }

  async #take(): Promise<TypingState | undefined> {
    this.#room.catchUp();
    if (this.#isDoubted) {
      this.#isDoubted = false;
      if (!(await this.#grant.isMember())) throw new ChatError('FORBIDDEN', 'Your membership in this room has ended');
    }
    this.#sentAt ??= performance.now();
    const waitMs = this.#sentAt + minGapMs - performance.now();
    if (waitMs > 0) {
      clearTimeout(this.#gap);
      this.#gap = setTimeout(() => this.states.wake(), waitMs);
      return undefined;
    }
    const userIds = this.#room.typists.map(({ userId }) => userId).filter((userId) => userId !== this.viewerId);
    if (this.#told !== undefined && isSame(this.#told, userIds)) return undefined;
    this.#told = userIds;
    this.#sentAt = undefined;
    return this.#room.stateOf(userIds);
  }
}

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((userId, index) => userId === b[index]);
