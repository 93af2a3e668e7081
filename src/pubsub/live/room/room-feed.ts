import type { Logger } from 'pino';
import { commonSeq, type Epochs, presentEpoch } from '../../../domain/epoch.js';
import type { RoomEvent } from '../../../domain/room-event.js';
import {
  type Evidence,
  type LogEntry,
  type LogPosition,
  type LogStore,
  type RoomHead,
  toEvidence,
} from '../../../domain/room-log.js';
import type { Listener } from '../../../domain/source.js';
import { decodeEntry, type EntryReference, roomOf } from '../../nats/encoding.js';
import type { EntrySeal } from '../../nats/entry-seal.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import type { Seldom } from '../../nats/seldom.js';
import { messageSubject } from '../../nats/subjects.js';
import { Listeners } from '../listeners.js';
import { RoomOutlets, type RoomOutletsOptions } from './room-outlets.js';
import type { RoomState, StateKind } from './room-states.js';

/** Entries kept in memory per room; a subscriber further behind reads the database. Also the longest gap that is filled. */
const ringSize = 200;
/** Entries may arrive out of order within milliseconds; only a gap that stays is read from the database. */
const gapPatienceMs = 50;
/** The stream gets this time to deliver an entry before the feed reads it from the database. */
const sweepPatienceMs = 200;
/** A state that refers to an entry further ahead of the feed does not come from an instance, and is ignored. */
const maxStateAhead = 10_000;
/** The epochs of a room that does not exist any more, as after a restore: later than any epoch, and in common with none. */
const goneFor: Epochs = [{ epoch: 'gone', seq: 0 }];

/** A subscriber also says for whom it waits, and since when: when the oldest entry arrived that it should have by now. */
export interface FeedListener extends Listener {
  readonly viewerId?: number;
  readonly waitsSince?: number | undefined;
}

/** With the kinds of state that subscribers get beside the entries. */
export interface RoomFeedOptions extends RoomOutletsOptions {
  readonly pubsub: PubSub;
  readonly store: LogStore;
  readonly seal: EntrySeal;
  readonly log: Logger;
  /** Shared by all rooms: an outage of the database affects all of them. */
  readonly failures: Seldom;
  /** Called with each new entry. */
  readonly onEntry: (feed: RoomFeed) => void;
  readonly onClose: () => void;
}

/**
 * The live end of one room's log, shared by all its subscribers in this process: the last entries in the order of their
 * positions, each once. An entry with the next position is appended, an older one ignored, and a gap filled from the
 * database. All entries belong to one epoch; the feed changes to another one when the database has.
 */
export class RoomFeed {
  readonly roomId: string;
  /** By `performance.now()`. */
  readonly openedAt = performance.now();
  /** Resolves once no entry committed from then on can be missed. Rejects if the database cannot be read. */
  readonly opened: Promise<void>;
  /** What subscribers get beside the entries. */
  readonly states: RoomOutlets;
  readonly listeners: Listeners<FeedListener>;
  readonly #store: LogStore;
  readonly #seal: EntrySeal;
  readonly #log: Logger;
  readonly #failures: Seldom;
  readonly #onEntry: (feed: RoomFeed) => void;
  readonly #onClose: () => void;
  readonly #ring: LogEntry[] = [];
  /** When each entry of the ring arrived, by `performance.now()`. */
  readonly #arrivals: number[] = [];
  readonly #ahead = new Map<number, LogEntry>();
  readonly #subscriptions: Subscription[] = [];
  #holders = 0;
  #floor = 0;
  #head = 0;
  #target = 0;
  #epochs: Epochs = [];
  #epoch = '';
  /** Whether the database has to be read even if no later entry is known. */
  #isDoubted = false;
  /** A position or entry of this log that the database may not have. */
  #evidence: Evidence | undefined;
  #changes = 0;
  /** Entries that were committed before this time are in the log, or known to be missing; by `performance.now()`. */
  #comparedAt = Number.NEGATIVE_INFINITY;
  #repairTimer: NodeJS.Timeout | undefined;
  #ready: (RoomEvent & { kind: 'ready' }) | undefined;
  #isOpen = false;
  #isRepairing = false;
  #isClosed = false;

  constructor(roomId: string, options: RoomFeedOptions) {
    const { pubsub, store, seal, stateKinds, log, failures, onEntry, onClose } = options;
    this.roomId = roomId;
    this.#store = store;
    this.#seal = seal;
    this.#log = log;
    this.#failures = failures;
    this.#onEntry = onEntry;
    this.#onClose = onClose;
    const createListeners = () =>
      new Listeners<FeedListener>((error) => log.error({ err: error, roomId }, 'A listener of a room failed'));
    this.listeners = createListeners();
    this.states = new RoomOutlets(options, createListeners);
    this.opened = this.#open(pubsub, stateKinds);
  }

  /** The position of the newest entry that subscribers can get. */
  get head(): number {
    return this.#head;
  }

  /** All entries after this position, up to the head, are in memory. */
  get floor(): number {
    return this.#floor;
  }

  /** Changes if the log is replaced by another one, as after a restore of the database from a backup. */
  get epoch(): string {
    return this.#epoch;
  }

  /** Whether it has all entries that were committed until this long ago. */
  isCurrent(maxAgeMs: number): boolean {
    return this.#isOpen && !this.#isToRepair && performance.now() - this.#comparedAt < maxAgeMs;
  }

  /** Returns the position up to which the log in that epoch and this log are the same. */
  commonWith(epoch: string): number {
    return commonSeq(this.#epochs, epoch);
  }

  /** Reads the database soon, because it may be in another epoch. */
  doubt(): void {
    this.#isDoubted = true;
    this.#expect(this.#target, gapPatienceMs);
  }

  /** Returns the event for the end of a replay: one object for all subscribers that are ready at the same position. */
  readyAt(seq: number): RoomEvent {
    if (this.#ready?.seq !== seq || this.#ready.epoch !== this.#epoch) {
      this.#ready = { kind: 'ready', seq, epoch: this.#epoch };
    }
    return this.#ready;
  }

  /** Returns the first entry in memory after the position. */
  entryAfter(seq: number): LogEntry | undefined {
    return this.#ring[this.#indexAfter(seq)];
  }

  /** Returns when that entry arrived. */
  arrivalAfter(seq: number): number | undefined {
    return this.#arrivals[this.#indexAfter(seq)];
  }

  #indexAfter(seq: number): number {
    const ring = this.#ring;
    let low = 0;
    let high = ring.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ring[middle] as LogEntry).seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Increases with every change of the log. */
  get changes(): number {
    return this.#changes;
  }

  /** Wakes the listener after every change of the log, until it is removed with `forget`. */
  listen(listener: FeedListener): void {
    this.listeners.add(listener);
  }

  forget(listener: FeedListener): void {
    this.listeners.delete(listener);
  }

  accept(entry: LogEntry): void {
    if (this.#isClosed) return;
    if (this.#isOpen && entry.epoch !== this.#epoch) {
      // A late entry of an earlier epoch is ignored.
      if (entry.epoch > this.#epoch) this.#hearOf(entry.epoch);
      return;
    }
    if (entry.seq <= this.#head) {
      this.#compareWithKnown(entry);
      return;
    }
    if (this.#isOpen && entry.seq === this.#head + 1) {
      this.#append(entry);
      this.#takeAhead();
      this.#wake();
      return;
    }
    if (this.#ahead.size < ringSize && entry.epoch >= (this.#ahead.get(entry.seq)?.epoch ?? '')) {
      this.#ahead.set(entry.seq, entry);
    }
    this.#expect(entry.seq, gapPatienceMs);
  }

  acceptState<State extends RoomState>(kind: StateKind<State>, state: State): void {
    // States are sent in order, each after its entry: one without a possible entry would block all later ones.
    if (this.#isClosed || kind.seq(state) > this.#head + maxStateAhead) return;
    this.states.accept(kind, state);
  }

  /**
   * Compares this feed with the database.
   * @param before - the feed's position from before that query
   * @param askedAt - the time before that query, by `performance.now()`
   */
  compareWith(database: LogPosition, before: LogPosition, askedAt: number): void {
    if (!this.#isOpen || before.epoch !== this.#epoch) return;
    if (database.epoch > this.#epoch) this.doubt();
    if (database.epoch !== this.#epoch) return;
    this.#comparedAt = askedAt;
    if (database.seq < before.seq) this.#contradict({ ...before, messageId: null, isAdded: false });
    else if (database.seq > this.#head) this.#expect(database.seq, sweepPatienceMs);
  }

  /** Keeps the feed open until it has been released as often. */
  hold(): void {
    this.#holders += 1;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose();
    clearTimeout(this.#repairTimer);
    for (const subscription of this.#subscriptions) subscription.close();
    this.states.close();
    this.#wake();
  }

  async #open(pubsub: PubSub, stateKinds: readonly StateKind[]): Promise<void> {
    const head = await this.#store.readHead(this.roomId);
    if (head === null || this.#isClosed) return;
    this.#subscriptions.push(
      pubsub.subscribe(messageSubject(this.roomId, head.directKey), (body) => this.#receive(body)),
      ...stateKinds.map((kind) =>
        pubsub.subscribe(kind.subject(this.roomId), (body) => this.#receiveState(kind, body)),
      ),
    );
    await Promise.all(this.#subscriptions.map(({ ready }) => ready));
    const askedAt = performance.now();
    // Reads again after subscribing: an entry committed in between is either before this head or will be received.
    const start = (await this.#store.readHead(this.roomId)) ?? head;
    this.#epochs = start.epochs;
    this.#epoch = presentEpoch(start.epochs);
    this.#skipTo(start.seq);
    this.#comparedAt = askedAt;
    this.#isOpen = true;
    this.#takeAhead();
    if (this.#target > this.#head) this.#expect(this.#target, gapPatienceMs);
  }

  #receive(body: Uint8Array): void {
    const entry = decodeEntry(body);
    // A DIRECT room's subject names its users, not the room.
    if (roomOf(entry) !== this.roomId || this.#isKnown(entry)) return;
    if (!this.#seal.isOn(body)) {
      // Without a seal anybody may have published it: the entry is read from the database, if it exists.
      if (entry.seq > this.#head) this.#expect(entry.seq, 0);
    } else if (entry.kind !== 'reference') {
      this.accept(entry);
    } else if (entry.epoch !== null && entry.epoch > this.#epoch) {
      this.#hearOf(entry.epoch);
    } else if (entry.epoch === this.#epoch && entry.seq > this.#head) {
      this.#expect(entry.seq, 0);
    }
  }

  /** An instance has written in a later epoch: a database server in an earlier one must not be used any more. */
  #hearOf(epoch: string): void {
    this.#store.noteEpoch(epoch);
    this.doubt();
  }

  /** Whether the feed has the entry already, usually because this instance has committed it. */
  #isKnown(entry: LogEntry | EntryReference): boolean {
    if (entry.epoch !== this.#epoch || entry.seq > this.#head) return false;
    const known = this.entryAfter(entry.seq - 1);
    return entry.kind === 'reference' || known?.seq !== entry.seq || known.message.id === entry.message.id;
  }

  #receiveState(kind: StateKind, body: Uint8Array): void {
    const state = kind.decode(body);
    if (state.roomId === this.roomId) this.acceptState(kind, state);
  }

  #append(entry: LogEntry): void {
    this.#ring.push(entry);
    this.#arrivals.push(performance.now());
    this.#head = entry.seq;
    this.#onEntry(this);
    if (this.#ring.length <= ringSize) return;
    this.#floor = this.#ring.shift()?.seq ?? this.#floor;
    this.#arrivals.shift();
  }

  #takeAhead(): void {
    for (const [seq, { epoch }] of this.#ahead) {
      if (seq <= this.#head || epoch !== this.#epoch) this.#ahead.delete(seq);
    }
    for (let next = this.#ahead.get(this.#head + 1); next !== undefined; next = this.#ahead.get(this.#head + 1)) {
      this.#ahead.delete(next.seq);
      this.#append(next);
    }
  }

  #skipTo(seq: number): void {
    this.#ring.length = 0;
    this.#arrivals.length = 0;
    this.#floor = seq;
    this.#head = seq;
  }

  /** A log has one entry per position: a different one at a known position belongs to another log. */
  #compareWithKnown(entry: LogEntry): void {
    const known = this.entryAfter(entry.seq - 1);
    if (known?.seq === entry.seq && known.message.id !== entry.message.id) this.#contradict(toEvidence(known));
  }

  /** Makes the next repair check whether the database still has what this log had. */
  #contradict(evidence: Omit<Evidence, 'roomId'>): void {
    this.#evidence ??= { ...evidence, roomId: this.roomId };
    this.doubt();
  }

  async #beginEpoch({ seq, epochs }: Pick<RoomHead, 'seq' | 'epochs'>): Promise<void> {
    const { roomId } = this;
    const epoch = presentEpoch(epochs);
    const common = Math.min(commonSeq(epochs, this.#epoch), seq);
    // Entries since then are read once for all subscribers that continue there.
    const isShort = seq - common <= ringSize;
    const since =
      isShort && seq > common ? await this.#store.readPage({ roomId, base: seq, after: common, upTo: seq }) : [];
    if (this.#isClosed) return;
    if (since.some((entry) => entry.epoch !== epoch)) {
      this.doubt();
      return;
    }
    this.#log.warn(
      { roomId, seq, was: this.#head, common },
      'The log is another one; subscribers past the last common entry load the room again',
    );
    this.#epochs = epochs;
    this.#epoch = epoch;
    this.#ahead.clear();
    this.states.clear();
    this.#target = seq;
    this.#skipTo(isShort ? common : seq);
    for (const entry of since) this.#append(entry);
    this.#head = seq;
    this.#wake();
  }

  #expect(seq: number, patienceMs: number): void {
    this.#target = Math.max(this.#target, seq);
    if (!this.#isOpen) return;
    this.#repairTimer ??= setTimeout(() => void this.#repair(), patienceMs);
  }

  async #repair(): Promise<void> {
    this.#repairTimer = undefined;
    if (this.#isClosed || this.#isRepairing || !this.#isToRepair) return;
    this.#isRepairing = true;
    const evidence = this.#evidence;
    const wasDoubted = this.#isDoubted;
    this.#evidence = undefined;
    this.#isDoubted = false;
    try {
      if (evidence !== undefined) await this.#store.doubtEpoch(evidence);
      await this.#fill(this.#target);
    } catch (error) {
      this.#evidence ??= evidence;
      this.#isDoubted ||= wasDoubted;
      this.#failures.note((times) =>
        this.#log.warn(
          { err: error, roomId: this.roomId, times },
          'A gap could not be read from the database; it is tried again',
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, sweepPatienceMs));
    }
    this.#isRepairing = false;
    if (this.#isToRepair && !this.#isClosed) this.#expect(this.#target, gapPatienceMs);
  }

  get #isToRepair(): boolean {
    return this.#target > this.#head || this.#isDoubted;
  }

  /** Fills the gap only up to the database's head, because anybody may publish any position. */
  async #fill(wanted: number): Promise<void> {
    const after = this.#head;
    const head = await this.#store.readHead(this.roomId);
    if (this.#isClosed) return;
    const epochs = head?.epochs ?? goneFor;
    if (presentEpoch(epochs) > this.#epoch) {
      await this.#beginEpoch({ seq: head?.seq ?? 0, epochs });
      return;
    }
    const upTo = head?.seq ?? after;
    const isShort = upTo > after && upTo - after <= ringSize;
    // With upTo as base, no entry is compacted that a subscriber ahead of this feed might have seen in an older state.
    const page = isShort ? await this.#store.readPage({ roomId: this.roomId, base: upTo, after, upTo }) : [];
    if (this.#isClosed) return;
    if (page.some(({ epoch }) => epoch !== this.#epoch)) {
      this.doubt();
      return;
    }
    if (this.#target === wanted) this.#target = upTo;
    if (isShort) {
      for (const entry of page) if (entry.seq > this.#head) this.#append(entry);
      this.#head = Math.max(this.#head, upTo);
    } else if (upTo > this.#head) {
      this.#skipTo(upTo);
    }
    this.#takeAhead();
    this.#wake();
  }

  /** Wakes the listeners at the end of this turn of the event loop, once for all entries that are committed together. */
  #wake(): void {
    this.#changes += 1;
    this.listeners.wake();
  }
}
