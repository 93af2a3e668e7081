import type { Logger } from 'pino';
import { commonSeq, type Epochs, presentEpoch } from '../../../domain/epoch.js';
import type { RoomEvent } from '../../../domain/room-event.js';
import {
  type Evidence,
  type LogEntry,
  type LogPosition,
  type LogStore,
  type Member,
  type RoomHead,
  toEvidence,
} from '../../../domain/room-log.js';
import type { Listener } from '../../../domain/source.js';
import { decodeEntry, decodeMember, type EntryReference, roomOf } from '../../nats/encoding.js';
import type { EntrySeal } from '../../nats/entry-seal.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import type { Seldom } from '../../nats/seldom.js';
import { messageSubject, readSubject } from '../../nats/subjects.js';

/** Entries kept in memory per room; who is further behind reads the database. Also the longest gap repaired in place. */
const ringSize = 200;
/** Entries overtake each other by milliseconds; only a gap that stays is read from the database. */
const gapPatienceMs = 50;
/** What the database has and the stream has not brought yet is given a moment before it is read. */
const sweepPatienceMs = 200;
/** A read mark further ahead of the feed than this is not one of ours. */
const maxReadAhead = 10_000;
/** Of a room that is no more, as after a restore to before it was made: later than any epoch, and common with none. */
const goneFor: Epochs = [{ epoch: 'gone', seq: 0 }];

/** That a member's read mark moved. */
interface Read {
  /** Grows with each. */
  readonly version: number;
  readonly member: Member;
  /** As it was told last. */
  event?: RoomEvent & { kind: 'read' };
}

export interface RoomFeedOptions {
  readonly pubsub: PubSub;
  readonly store: LogStore;
  readonly seal: EntrySeal;
  readonly log: Logger;
  /** Of all rooms together: the database is away for all of them. */
  readonly failures: Seldom;
  readonly onClose: () => void;
}

/**
 * The live end of one room's log, shared by all its subscribers in this process: the last entries in the order of
 * their positions, each once. An entry with the next position is appended, an older one dropped, a gap is filled from
 * the database. All of them are of one epoch; another one begins when the database says so.
 */
export class RoomFeed {
  readonly roomId: string;
  /** Resolves once nothing committed from here on can be missed. Rejects where the database cannot be read. */
  readonly opened: Promise<void>;
  readonly #store: LogStore;
  readonly #seal: EntrySeal;
  readonly #log: Logger;
  readonly #failures: Seldom;
  readonly #onClose: () => void;
  readonly #ring: LogEntry[] = [];
  readonly #ahead = new Map<number, LogEntry>();
  readonly #listeners = new Set<Listener>();
  readonly #reads = new Map<number, Read>();
  readonly #subscriptions: Subscription[] = [];
  #holders = 0;
  #floor = 0;
  #head = 0;
  #target = 0;
  #epochs: Epochs = [];
  #epoch = '';
  /** The database is to be asked, though nothing is known to lie ahead. */
  #isDoubted = false;
  /** What this log had and the database's may not have. */
  #evidence: Evidence | undefined;
  #readVersion = 0;
  #changes = 0;
  #repairTimer: NodeJS.Timeout | undefined;
  #waking: NodeJS.Immediate | undefined;
  #ready: (RoomEvent & { kind: 'ready' }) | undefined;
  #isOpen = false;
  #isRepairing = false;
  #isClosed = false;

  constructor(roomId: string, { pubsub, store, seal, log, failures, onClose }: RoomFeedOptions) {
    this.roomId = roomId;
    this.#store = store;
    this.#seal = seal;
    this.#log = log;
    this.#failures = failures;
    this.#onClose = onClose;
    this.opened = this.#open(pubsub);
  }

  /** Position of the newest entry that subscribers can be given. */
  get head(): number {
    return this.#head;
  }

  /** Everything behind this position, up to the head, is in memory. */
  get floor(): number {
    return this.#floor;
  }

  /** The log turns out to be another one where this changes, as after the database was restored from a backup. */
  get epoch(): string {
    return this.#epoch;
  }

  /** Up to where the log as it was in that epoch and this one are the same. */
  commonWith(epoch: string): number {
    return commonSeq(this.#epochs, epoch);
  }

  /** Somebody has heard of another epoch: asks the database soon. */
  doubt(): void {
    this.#isDoubted = true;
    this.#expect(this.#target, gapPatienceMs);
  }

  /** Grows with every read mark that moves. */
  get readVersion(): number {
    return this.#readVersion;
  }

  /** That a replay is over there: one event for all who are ready at the same position. */
  readyAt(seq: number): RoomEvent {
    if (this.#ready?.seq !== seq || this.#ready.epoch !== this.#epoch) {
      this.#ready = { kind: 'ready', seq, epoch: this.#epoch };
    }
    return this.#ready;
  }

  /** The same of a read mark, for all who are told of it at the same position. */
  readAt(read: Read, seq: number): RoomEvent {
    if (read.event?.seq !== seq || read.event.epoch !== this.#epoch) {
      read.event = { kind: 'read', seq, epoch: this.#epoch, member: read.member };
    }
    return read.event;
  }

  /** The first entry behind the position, where it is still in memory. */
  entryAfter(seq: number): LogEntry | undefined {
    const ring = this.#ring;
    let low = 0;
    let high = ring.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ring[middle] as LogEntry).seq <= seq) low = middle + 1;
      else high = middle;
    }
    return ring[low];
  }

  /** The oldest read mark that moved after the version; a member's earlier moves are superseded. */
  readAfter(version: number): Read | undefined {
    // Moving to the end keeps the map in the order of versions, so the first that fits is the oldest.
    for (const read of this.#reads.values()) if (read.version > version) return read;
    return undefined;
  }

  /** Grows with every change of anything above. */
  get changes(): number {
    return this.#changes;
  }

  /** The listener is woken after every change, until it is forgotten. */
  listen(listener: Listener): void {
    this.#listeners.add(listener);
  }

  forget(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  accept(entry: LogEntry): void {
    if (this.#isClosed) return;
    if (this.#isOpen && entry.epoch !== this.#epoch) {
      // What comes late from an earlier one is nobody's any more.
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

  acceptRead(member: Member): void {
    const known = this.#reads.get(member.userId)?.member;
    if (known !== undefined && known.lastReadSeq >= member.lastReadSeq) return;
    // A mark waits for its message and lets no later one pass: one that no message can be behind would wait for ever.
    if (member.lastReadSeq > this.#head + maxReadAhead) return;
    this.#readVersion += 1;
    this.#reads.delete(member.userId);
    this.#reads.set(member.userId, { version: this.#readVersion, member });
    this.#wake();
  }

  /** Where the database's log stood at a moment when this feed's was at `before`. */
  compareWith(database: LogPosition, before: LogPosition): void {
    if (!this.#isOpen || before.epoch !== this.#epoch) return;
    if (database.epoch > this.#epoch) this.doubt();
    else if (database.epoch < this.#epoch) return;
    else if (database.seq < before.seq) this.#contradict({ ...before, messageId: null, isAdded: false });
    else if (database.seq > this.#head) this.#expect(database.seq, sweepPatienceMs);
  }

  /** Keeps it open until it is released as often. */
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
    this.#wake();
  }

  async #open(pubsub: PubSub): Promise<void> {
    const head = await this.#store.readHead(this.roomId);
    if (head === null || this.#isClosed) return;
    const entries = pubsub.subscribe(messageSubject(this.roomId, head.directKey), (body) => this.#receive(body));
    const reads = pubsub.subscribe(readSubject(this.roomId), (body) => this.#receiveRead(body));
    this.#subscriptions.push(entries, reads);
    await Promise.all([entries.ready, reads.ready]);
    // Read again behind the subscription: what was committed in between is now either before this head or on its way.
    const start = (await this.#store.readHead(this.roomId)) ?? head;
    this.#epochs = start.epochs;
    this.#epoch = presentEpoch(start.epochs);
    this.#skipTo(start.seq);
    this.#isOpen = true;
    this.#takeAhead();
    if (this.#target > this.#head) this.#expect(this.#target, gapPatienceMs);
  }

  #receive(body: Uint8Array): void {
    const entry = decodeEntry(body);
    // A DIRECT room's subject names its users, not the room.
    if (roomOf(entry) !== this.roomId || this.#isKnown(entry)) return;
    if (!this.#seal.isOn(body)) {
      // Anybody may have said so: where there is something, the database has it.
      if (entry.seq > this.#head) this.#expect(entry.seq, 0);
    } else if (entry.kind !== 'reference') {
      this.accept(entry);
    } else if (entry.epoch !== null && entry.epoch > this.#epoch) {
      this.#hearOf(entry.epoch);
    } else if (entry.epoch === this.#epoch && entry.seq > this.#head) {
      this.#expect(entry.seq, 0);
    }
  }

  /** An instance has written in a later epoch: a server that is not in it was left behind. */
  #hearOf(epoch: string): void {
    this.#store.noteEpoch(epoch);
    this.doubt();
  }

  /** Nearly all that is heard here has been told by this instance itself already. */
  #isKnown(entry: LogEntry | EntryReference): boolean {
    if (entry.epoch !== this.#epoch || entry.seq > this.#head) return false;
    const known = this.entryAfter(entry.seq - 1);
    return entry.kind === 'reference' || known?.seq !== entry.seq || known.message.id === entry.message.id;
  }

  #receiveRead(body: Uint8Array): void {
    const member = decodeMember(body);
    if (member.roomId === this.roomId) this.acceptRead(member);
  }

  #append(entry: LogEntry): void {
    this.#ring.push(entry);
    this.#head = entry.seq;
    const dropped = this.#ring.length > ringSize ? this.#ring.shift() : undefined;
    if (dropped !== undefined) this.#floor = dropped.seq;
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
    this.#floor = seq;
    this.#head = seq;
  }

  /** At a position that is known, the log has one entry: where it has another one, it is another log. */
  #compareWithKnown(entry: LogEntry): void {
    const known = this.entryAfter(entry.seq - 1);
    if (known?.seq === entry.seq && known.message.id !== entry.message.id) this.#contradict(toEvidence(known));
  }

  /** The database is to say whether it still has what this log had. */
  #contradict(evidence: Omit<Evidence, 'roomId'>): void {
    this.#evidence ??= { ...evidence, roomId: this.roomId };
    this.doubt();
  }

  async #beginEpoch({ seq, epochs }: Pick<RoomHead, 'seq' | 'epochs'>): Promise<void> {
    const { roomId } = this;
    const epoch = presentEpoch(epochs);
    const common = Math.min(commonSeq(epochs, this.#epoch), seq);
    // What came since is read once for all who go on from there.
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
      'The log is another one; subscribers who are past what is common fetch anew',
    );
    this.#epochs = epochs;
    this.#epoch = epoch;
    this.#ahead.clear();
    this.#reads.clear();
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

  /** Up to where the database says that the log stands: anybody may publish any position. */
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
    // With upTo as base nothing is compacted that a subscriber ahead of this feed might have seen in an older state.
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

  /** At the end of this turn of the event loop: what is committed together is told together. */
  #wake(): void {
    this.#changes += 1;
    this.#waking ??= setImmediate(() => {
      this.#waking = undefined;
      for (const listener of this.#listeners) this.#rouse(listener);
    });
  }

  /** One of them must not keep the others asleep. */
  #rouse(listener: Listener): void {
    try {
      listener.wake();
    } catch (error) {
      this.#log.error({ err: error, roomId: this.roomId }, 'A listener of a room failed');
    }
  }
}
