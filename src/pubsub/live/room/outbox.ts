import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import {
  type Backlog,
  backlogSampleSize,
  type LogEntry,
  type LogStore,
  logPageSize,
  type PublishedRange,
  type StoredEntry,
  type UnpublishedRoom,
} from '../../../domain/room-log.js';
import { decodeRanges, encodeEntry, encodeRanges, encodeReference } from '../../nats/encoding.js';
import type { EntrySeal } from '../../nats/entry-seal.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import { Seldom } from '../../nats/seldom.js';
import { ackedSubject, messageSubject } from '../../nats/subjects.js';
import { BacklogWatch } from './backlog-watch.js';

/** Publishes committed entries to the stream: at once if possible; a sweep publishes those that were missed. */
export interface Outbox {
  /** Never blocks and never throws: the sweep publishes the entries that do not reach the stream now. */
  publish(entry: LogEntry): void;
  /** The entries that the stream lacks, and whether they are too old. */
  readonly watch: Pick<BacklogWatch, 'backlog' | 'isBehind'>;
  /** Waits for pending publishes and stores the acknowledged positions. */
  close(): Promise<void>;
}

const tickMs = 1_000;
/** The instance that wrote a younger entry may still be publishing it. */
const sweepAgeMs = 2_000;
const roomsPerSweep = 100;
const pagesPerSweep = 25;
const settleEveryMs = 10_000;
/** A room that is settled and written to again costs two updates of its indexes, so a busy room stays unsettled. */
const quietMs = 60_000;
const roomsPerSettling = 1_000;
/**
 * With more unacknowledged publishes the server is not keeping up: leaving entries to the sweep saves its load and our
 * memory.
 */
const maxInFlight = 10_000;
/**
 * Older acknowledgements are dropped: they wait for earlier entries of an instance that has ended, which the sweep publishes.
 */
const ackLifetimeMs = 10_000;

/**
 * The message table is its own outbox: `published_seq` of a room moves from n to n+k only once the stream has acknowledged
 * n+1..n+k. Every second the instances send each other their acknowledgements and move the marks. Rooms that stay behind are
 * swept: entries without a known acknowledgement are published again, in order.
 */
export function createOutbox(options: OutboxOptions): Outbox {
  return new PubSubOutbox(options);
}

export interface OutboxOptions {
  readonly pubsub: PubSub;
  readonly store: LogStore;
  readonly seal: EntrySeal;
  readonly log: Logger;
}

class PubSubOutbox implements Outbox {
  readonly #pubsub: PubSub;
  readonly #store: LogStore;
  readonly #seal: EntrySeal;
  readonly #log: Logger;
  readonly watch: BacklogWatch;
  readonly #failures = new Seldom();
  readonly #ticking: Loop;
  readonly #settling: Loop;
  readonly #peers: Subscription;
  readonly #inFlight = new Set<Promise<void>>();
  /** The keys of the entries that this instance is publishing. */
  readonly #sending = new Set<string>();
  /** By room and epoch: the positions that the stream has acknowledged to any instance, and when each was noted. */
  readonly #acked = new Map<string, Acked>();
  /** Acknowledged to this instance and not yet sent to the other instances. */
  #news: LogPlace[] = [];

  constructor({ pubsub, store, seal, log }: OutboxOptions) {
    this.#pubsub = pubsub;
    this.#store = store;
    this.#seal = seal;
    this.#log = log;
    this.watch = new BacklogWatch(log);
    this.#peers = pubsub.subscribe(ackedSubject, (body) => {
      for (const { roomId, epoch, from, to } of decodeRanges(body)) {
        for (let seq = from; seq <= to; seq++) this.#noteAck({ roomId, epoch, seq });
      }
    });
    // The server may have lost its store: earlier acknowledgements no longer count.
    pubsub.onConnect(() => {
      this.#acked.clear();
      this.#news = [];
    });
    this.#ticking = every(tickMs, () => this.#runTick());
    this.#settling = every(settleEveryMs, () => this.#patiently(() => this.#settle()));
  }

  publish(entry: LogEntry): void {
    if (!this.#pubsub.isConnected || this.#inFlight.size >= maxInFlight) return;
    const place = placeOf({ ...entry, roomId: entry.message.roomId });
    this.#sending.add(place);
    const publishing = this.#send(entry)
      .catch((error: unknown) => {
        this.#log.debug({ err: error, roomId: entry.message.roomId, seq: entry.seq }, 'A publish is left to the sweep');
      })
      .finally(() => {
        this.#sending.delete(place);
        this.#inFlight.delete(publishing);
      });
    this.#inFlight.add(publishing);
  }

  async close(): Promise<void> {
    const ended = [this.#ticking.stop(), this.#settling.stop()];
    this.#peers.close();
    await Promise.all(ended);
    await Promise.all(this.#inFlight);
    await this.#patiently(() => this.#advance());
  }

  async #send(entry: LogEntry): Promise<void> {
    const { seq, epoch, directKey } = entry;
    const { id, roomId } = entry.message;
    const whole = encodeEntry(this.#seal, entry);
    const body = whole.length <= this.#pubsub.maxBodyBytes ? whole : encodeReference(this.#seal, entry);
    // Another epoch has other entries at the same positions, which the stream must not drop as duplicates.
    const messageId = `${epoch}:${id}:${seq}`;
    await this.#pubsub.publish(messageSubject(roomId, directKey), body, messageId).catch((error: unknown) => {
      this.watch.noteRefusal(error);
      throw error;
    });
    this.#noteAck({ roomId, epoch, seq });
    this.#news.push({ roomId, epoch, seq });
  }

  #noteAck({ roomId, epoch, seq }: LogPlace): void {
    const key = `${roomId} ${epoch}`;
    const acked = this.#acked.get(key) ?? { roomId, epoch, seqs: new Map<number, number>() };
    this.#acked.set(key, acked);
    acked.seqs.set(seq, performance.now());
  }

  async #runTick(): Promise<void> {
    await this.#patiently(async () => {
      this.#tellPeers();
      await this.#advance();
    });
    await this.#patiently(async () => {
      const backlog = await this.#store.readBacklog();
      this.watch.note(backlog, this.#pubsub.isConnected);
      if (this.#pubsub.isConnected && mayBeDue(backlog)) await this.#sweep();
    });
  }

  async #patiently(work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) =>
      this.#failures.note((times) =>
        this.#log.warn({ err: error, times }, 'The outbox could not do its round; it is tried again'),
      ),
    );
  }

  #tellPeers(): void {
    const byLog = new Map<string, { roomId: string; epoch: string; seqs: Set<number> }>();
    for (const { roomId, epoch, seq } of this.#news) {
      const key = `${roomId} ${epoch}`;
      const log = byLog.get(key) ?? { roomId, epoch, seqs: new Set() };
      log.seqs.add(seq);
      byLog.set(key, log);
    }
    this.#news = [];
    const ranges = [...byLog.values()].flatMap((log) => toRanges(log, log.seqs));
    for (const body of encodeRanges(ranges, this.#pubsub.maxBodyBytes)) this.#pubsub.signal(ackedSubject, body);
  }

  async #advance(): Promise<void> {
    this.#dropOldAcks();
    const ranges = [...this.#acked.values()].flatMap((log) => toRanges(log, log.seqs.keys()));
    if (ranges.length === 0) return;
    const published = await this.#store.advancePublished(ranges);
    for (const [key, { roomId, seqs }] of this.#acked) {
      const mark = published.get(roomId) ?? Number.POSITIVE_INFINITY;
      for (const seq of seqs.keys()) if (seq <= mark) seqs.delete(seq);
      if (seqs.size === 0) this.#acked.delete(key);
    }
  }

  #dropOldAcks(): void {
    const tooOld = performance.now() - ackLifetimeMs;
    for (const [key, { seqs }] of this.#acked) {
      for (const [seq, notedAt] of seqs) if (notedAt < tooOld) seqs.delete(seq);
      if (seqs.size === 0) this.#acked.delete(key);
    }
  }

  async #sweep(): Promise<void> {
    for (const room of await this.#store.readUnpublished(sweepAgeMs, roomsPerSweep)) {
      if (!this.#pubsub.isConnected) return;
      // A failing room must not stop the sweep of the others. BacklogWatch logs refused entries, once for all rooms.
      await this.#sweepRoom(room).catch((error: unknown) =>
        this.#log.debug({ err: error, roomId: room.roomId }, 'A room could not be swept; it is tried again'),
      );
    }
  }

  /** Ends: each round settles other rooms. */
  async #settle(): Promise<void> {
    while ((await this.#store.settleRooms(quietMs, roomsPerSettling)) === roomsPerSettling);
  }

  /**
   * Publishes the entries that the stream lacks, in order, page by page: a busy room may grow faster than one page per sweep.
   */
  async #sweepRoom(room: UnpublishedRoom): Promise<void> {
    const { roomId, epoch, seq: upTo } = room;
    let mark = room.publishedSeq;
    if (this.#isUnderway({ roomId, epoch, seq: mark + 1 })) return;
    for (let page = 1; page <= pagesPerSweep && mark < upTo; page += 1) {
      const next = await this.#sweepPage(room, mark);
      if (next === mark) return;
      await this.#store.advancePublished([{ roomId, epoch, from: mark + 1, to: next }]);
      mark = next;
    }
  }

  /** Whether the next rounds move the mark past the entry anyway: it is acknowledged, or this instance is publishing it. */
  #isUnderway(place: LogPlace): boolean {
    const { roomId, epoch, seq } = place;
    return this.#sending.has(placeOf(place)) || this.#acked.get(`${roomId} ${epoch}`)?.seqs.has(seq) === true;
  }

  /** Resolves with the position up to which the stream has all entries after `mark`. */
  async #sweepPage(room: UnpublishedRoom, mark: number): Promise<number> {
    const { roomId, epoch, seq: upTo } = room;
    const page = await this.#store.readPage({ roomId, base: upTo, after: mark, upTo });
    const young = page.findIndex((entry) => isYoung(entry, room));
    const due = young === -1 ? page : page.slice(0, young);
    const acked = this.#acked.get(`${roomId} ${epoch}`);
    for (const entry of due) if (acked?.seqs.has(entry.seq) !== true) await this.#send(entry);
    // Positions that are missing in a page have been compacted away.
    const firstYoung = page[due.length]?.seq;
    const last = page.length < logPageSize ? upTo : (page.at(-1)?.seq ?? mark);
    return firstYoung === undefined ? last : firstYoung - 1;
  }
}

/** Whether there may be an entry that is old enough for the sweep. */
const mayBeDue = ({ entries, oldestMs }: Backlog): boolean => oldestMs >= sweepAgeMs || entries > backlogSampleSize;

/** Whether the instance that wrote the entry may still publish it. */
function isYoung({ writtenAt }: StoredEntry, { dueUntil, dueBeyond }: UnpublishedRoom): boolean {
  const time = writtenAt.getTime();
  return time > dueUntil.getTime() && time <= dueBeyond.getTime();
}

/** The positions of one room in one epoch that the stream has acknowledged. */
interface Acked extends Pick<PublishedRange, 'roomId' | 'epoch'> {
  /** By position: when it was noted, by `performance.now()`. */
  readonly seqs: Map<number, number>;
}

type LogPlace = Pick<PublishedRange, 'roomId' | 'epoch'> & { readonly seq: number };

const placeOf = ({ roomId, epoch, seq }: LogPlace): string => `${roomId} ${epoch} ${seq}`;

function toRanges({ roomId, epoch }: Omit<LogPlace, 'seq'>, seqs: Iterable<number>): PublishedRange[] {
  const ranges: { roomId: string; epoch: string; from: number; to: number }[] = [];
  for (const seq of [...seqs].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range?.to === seq - 1) range.to = seq;
    else ranges.push({ roomId, epoch, from: seq, to: seq });
  }
  return ranges;
}
