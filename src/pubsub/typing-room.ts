import { ChatError } from '../domain/errors.js';
import { endsMembership } from '../domain/message.js';
import { type TypingState, type TypingStore, type Typist, typingExpiresInMs } from '../domain/typing.js';
import { decodeTyping, type TypingSignal } from './encoding.js';
import type { PubSub, Subscription } from './pub-sub.js';
import { PullIterator } from './pull-iterator.js';
import type { RoomFeed } from './room-feed.js';
import { typingSubject } from './subjects.js';

export interface TypingGrant {
  readonly viewerId: number;
  /** Where the room's log stood when the viewer was known to be a member. */
  readonly head: number;
  readonly isMember: () => Promise<boolean>;
  readonly isHeldBack: () => boolean;
}

/** Between two lists to one subscriber, so that however many type, no second brings more than four. */
const minGapMs = 300;

/**
 * Who types in one room, for all who watch it here: until 6 s after the last signal, an explicit stop, or a message from
 * them. Who comes late starts from the last seconds of the stream.
 */
export class TypingRoom {
  /** Resolves once nothing that is told from here on is missed. */
  readonly opened: Promise<void>;
  readonly #feed: RoomFeed;
  /** By user: when it lapses, by `performance.now()`. In the order in which they began. */
  readonly #typing = new Map<number, number>();
  readonly #watchers = new Set<TypingWatcher>();
  /** Of whom more was heard than the stream tells, while it is read. */
  readonly #heard = new Set<number>();
  /** Whose membership ended: a signal that was on its way does not bring them back. */
  readonly #gone = new Set<number>();
  readonly #subscription: Subscription;
  #position: number;
  /** The feed's count of changes, as of the last look at it. */
  #followed = 0;
  #isOpen = false;
  #lapse: NodeJS.Timeout | undefined;
  #forgetFeed: () => void = () => undefined;

  constructor(feed: RoomFeed, pubsub: PubSub, store: TypingStore) {
    this.#feed = feed;
    this.#position = feed.head;
    this.#subscription = pubsub.subscribe(typingSubject(feed.roomId), (body) => {
      this.signal(decodeTyping(body));
    });
    this.opened = this.#open(pubsub, store);
  }

  get roomId(): string {
    return this.#feed.roomId;
  }

  /** Who types now, those first who began first. */
  get userIds(): number[] {
    const now = performance.now();
    return [...this.#typing].filter(([, lapsesAt]) => lapsesAt > now).map(([userId]) => userId);
  }

  signal({ userId, isTyping, ageMs }: TypingSignal): void {
    if (!this.#isOpen) this.#heard.add(userId);
    this.#apply(userId, isTyping, ageMs);
  }

  watch(grant: TypingGrant, onEnd: () => void): AsyncIterableIterator<TypingState> {
    const watcher = new TypingWatcher(this, grant, () => {
      this.#watchers.delete(watcher);
      onEnd();
    });
    this.#watchers.add(watcher);
    // What came behind the grant may have ended the membership again.
    if (this.#feed.head > grant.head) watcher.doubt();
    return watcher.states;
  }

  close(): void {
    clearTimeout(this.#lapse);
    this.#forgetFeed();
    this.#feed.release();
    this.#subscription.close();
  }

  async #open(pubsub: PubSub, store: TypingStore): Promise<void> {
    await Promise.all([this.#feed.opened, this.#subscription.ready]);
    this.#position = this.#feed.head;
    this.#follow();
    for (const { userId, ageMs } of await readTypists(pubsub, store, this.#feed.roomId)) {
      if (!this.#heard.has(userId)) this.#apply(userId, true, ageMs);
    }
    this.#isOpen = true;
    this.#heard.clear();
  }

  /** What the feed has already comes first: it may have ended the membership of who is to be told something. */
  catchUp(): void {
    if (!this.#isOpen || this.#feed.changes === this.#followed) return;
    this.#forgetFeed();
    this.#follow();
  }

  /** The room's log: who has sent a message types no more, and who is no member sees nothing. */
  #follow(): void {
    const feed = this.#feed;
    const { changes } = feed;
    this.#followed = changes;
    // What has left the feed's memory, or a log that went back, may have been anybody's leaving or coming back.
    if (feed.floor > this.#position || feed.head < this.#position) {
      this.#gone.clear();
      for (const watcher of this.#watchers) watcher.doubt();
    }
    for (let entry = feed.entryAfter(this.#position); entry !== undefined; entry = feed.entryAfter(this.#position)) {
      this.#position = entry.seq;
      const { message, kind } = entry;
      if (kind === 'added' && message.system === null) this.#end(message.senderId);
      for (const userId of message.system?.userIds ?? []) {
        this.#gone.delete(userId);
        if (!endsMembership(message, userId)) continue;
        this.#end(userId);
        this.#gone.add(userId);
        for (const watcher of this.#watchers) if (watcher.viewerId === userId) watcher.doubt();
      }
    }
    this.#position = feed.head;
    this.#forgetFeed = feed.onChange(changes, () => this.#follow());
  }

  #end(userId: number): void {
    this.signal({ userId, isTyping: false, ageMs: 0 });
  }

  #apply(userId: number, isTyping: boolean, ageMs: number): void {
    if (isTyping && this.#gone.has(userId)) return;
    const isNew = isTyping && !this.#typing.has(userId);
    const lapsesAt = performance.now() + typingExpiresInMs - ageMs;
    const isChange = isTyping ? isNew : this.#typing.delete(userId);
    if (isTyping) this.#typing.set(userId, Math.max(lapsesAt, this.#typing.get(userId) ?? 0));
    if (isChange) this.#tell();
    this.#lapse ??= this.#waitForLapse();
  }

  #waitForLapse(): NodeJS.Timeout | undefined {
    if (this.#typing.size === 0) return undefined;
    const next = Math.min(...this.#typing.values()) - performance.now();
    return setTimeout(() => this.#dropLapsed(), Math.max(0, next) + 1);
  }

  #dropLapsed(): void {
    const now = performance.now();
    const { size } = this.#typing;
    for (const [userId, lapsesAt] of this.#typing) if (lapsesAt <= now) this.#typing.delete(userId);
    if (this.#typing.size < size) this.#tell();
    this.#lapse = this.#waitForLapse();
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher.states.wake();
  }
}

/**
 * Who types by the last seconds of the stream, those first who began first. It does not know who has sent a message since,
 * or is no member any more: the database does, and is asked only where somebody types.
 */
export async function readTypists(pubsub: PubSub, store: TypingStore, roomId: string): Promise<Typist[]> {
  const ages = new Map<number, number>();
  for (const { body, ageMs } of await pubsub.recent(typingSubject(roomId), typingExpiresInMs)) {
    try {
      const { userId, isTyping, ageMs: toldAfterMs } = decodeTyping(body);
      if (isTyping) ages.set(userId, ageMs + toldAfterMs);
      else ages.delete(userId);
    } catch {
      // Anybody may have written to the subject.
    }
  }
  const typists = [...ages].map(([userId, ageMs]) => ({ userId, ageMs }));
  return typists.length === 0 ? [] : store.keepTyping(roomId, typists);
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
    const userIds = this.#room.userIds.filter((userId) => userId !== this.viewerId);
    if (this.#told !== undefined && isSame(this.#told, userIds)) return undefined;
    this.#told = userIds;
    this.#sentAt = undefined;
    return { roomId: this.#room.roomId, userIds };
  }
}

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((userId, index) => userId === b[index]);
