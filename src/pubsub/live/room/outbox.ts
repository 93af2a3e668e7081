import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import {
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

/** Brings committed entries to the stream: at once where possible, and by a sweep whatever that missed. */
export interface Outbox {
  /** Never makes the caller wait, never fails: what does not reach the stream now, the sweep brings later. */
  publish(entry: LogEntry): void;
  /** How much the stream lacks, and whether that is more than a moment's. */
  readonly watch: Pick<BacklogWatch, 'backlog' | 'isBehind'>;
  /** Waits for what is on its way and notes what has arrived. */
  close(): Promise<void>;
}

const tickMs = 1_000;
/** Entries younger than this may still be on their way from the instance that wrote them. */
const sweepAgeMs = 2_000;
const roomsPerSweep = 100;
const pagesPerSweep = 25;
/** Beyond so many unanswered publishes the server is not keeping up; the sweep is kinder to it and to our memory. */
const maxInFlight = 10_000;
/** Acknowledgements whose turn has not come by then wait for entries of an instance that is gone: the sweep's affair. */
const ackLifetimeMs = 10_000;

/**
 * The message table is its own outbox: `published_seq` of a room moves from n to n+k only once the stream has
 * acknowledged n+1..n+k. Every second the instances tell each other what was acknowledged to them and move the marks;
 * rooms that stay behind are swept, which publishes again, in order, what nobody has an acknowledgement of.
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
  readonly #peers: Subscription;
  readonly #inFlight = new Set<Promise<void>>();
  /** By room and epoch: the positions that the stream has acknowledged, here or to a peer, and when we learnt of each. */
  readonly #acked = new Map<string, Acked>();
  /** Acknowledged to this instance and not told to the peers yet. */
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
    // The server may have come back without its store: what it acknowledged before counts for nothing now.
    pubsub.onConnect(() => {
      this.#acked.clear();
      this.#news = [];
    });
    this.#ticking = every(tickMs, () => this.#runTick());
  }

  publish(entry: LogEntry): void {
    if (!this.#pubsub.isConnected || this.#inFlight.size >= maxInFlight) return;
    const publishing = this.#send(entry)
      .catch((error: unknown) => {
        this.#log.debug({ err: error, roomId: entry.message.roomId, seq: entry.seq }, 'A publish is left to the sweep');
      })
      .finally(() => this.#inFlight.delete(publishing));
    this.#inFlight.add(publishing);
  }

  async close(): Promise<void> {
    const ticked = this.#ticking.stop();
    this.#peers.close();
    await ticked;
    await Promise.all(this.#inFlight);
    await this.#patiently(() => this.#advance());
  }

  async #send(entry: LogEntry): Promise<void> {
    const { seq, epoch, directKey } = entry;
    const { id, roomId } = entry.message;
    const whole = encodeEntry(this.#seal, entry);
    const body = whole.length <= this.#pubsub.maxBodyBytes ? whole : encodeReference(this.#seal, entry);
    // Another life of the log has other entries at its positions: what the stream knows of one is no repeat of the other.
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
    if (this.#pubsub.isConnected) await this.#patiently(() => this.#sweep());
    await this.#patiently(async () => this.watch.note(await this.#store.readBacklog(), this.#pubsub.isConnected));
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
      // One of them must not keep the others from it. That something is not taken is told once, for all: see the watch.
      await this.#sweepRoom(room).catch((error: unknown) =>
        this.#log.debug({ err: error, roomId: room.roomId }, 'A room could not be swept; it is tried again'),
      );
    }
  }

  /** What the room is behind with, in order, page by page: a room may be written to faster than a page a round. */
  async #sweepRoom(room: UnpublishedRoom): Promise<void> {
    const { roomId, epoch, seq: upTo } = room;
    let mark = room.publishedSeq;
    for (let page = 1; page <= pagesPerSweep && mark < upTo; page += 1) {
      const next = await this.#sweepPage(room, mark);
      if (next === mark) return;
      await this.#store.advancePublished([{ roomId, epoch, from: mark + 1, to: next }]);
      mark = next;
    }
  }

  /** Resolves with the position up to which the stream has everything behind `mark`. */
  async #sweepPage(room: UnpublishedRoom, mark: number): Promise<number> {
    const { roomId, epoch, seq: upTo } = room;
    const page = await this.#store.readPage({ roomId, base: upTo, after: mark, upTo });
    const young = page.findIndex((entry) => isYoung(entry, room));
    const due = young === -1 ? page : page.slice(0, young);
    const acked = this.#acked.get(`${roomId} ${epoch}`);
    for (const entry of due) if (acked?.seqs.has(entry.seq) !== true) await this.#send(entry);
    // What is missing between the entries of a page has been compacted away.
    const firstYoung = page[due.length]?.seq;
    const last = page.length < logPageSize ? upTo : (page.at(-1)?.seq ?? mark);
    return firstYoung === undefined ? last : firstYoung - 1;
  }
}

/** Whether its own instance may still be about to publish it. */
function isYoung({ writtenAt }: StoredEntry, { dueUntil, dueBeyond }: UnpublishedRoom): boolean {
  const time = writtenAt.getTime();
  return time > dueUntil.getTime() && time <= dueBeyond.getTime();
}

/** What the stream has acknowledged of one room in one epoch. */
interface Acked extends Pick<PublishedRange, 'roomId' | 'epoch'> {
  /** And when we learnt of each. */
  readonly seqs: Map<number, number>;
}

type LogPlace = Pick<PublishedRange, 'roomId' | 'epoch'> & { readonly seq: number };

function toRanges({ roomId, epoch }: Omit<LogPlace, 'seq'>, seqs: Iterable<number>): PublishedRange[] {
  const ranges: { roomId: string; epoch: string; from: number; to: number }[] = [];
  for (const seq of [...seqs].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range?.to === seq - 1) range.to = seq;
    else ranges.push({ roomId, epoch, from: seq, to: seq });
  }
  return ranges;
}
