import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { EpochWatch } from '../../domain/epoch.js';
import { type LogEntry, type LogStore, toEvidence } from '../../domain/room-log.js';
import { decodeEntry } from './encoding.js';
import type { EntrySeal } from './entry-seal.js';
import type { PubSub } from './pub-sub.js';
import { messagesStream } from './streams.js';

/** The number of newest entries to compare: a database that was restored from a backup lacks exactly these. */
const entriesCompared = 20;

export interface StreamComparisonOptions {
  readonly pubsub: PubSub;
  readonly store: Pick<LogStore, 'doubtEpoch' | 'readBacklog'>;
  readonly epochs: EpochWatch;
  readonly seal: EntrySeal;
  readonly log: Logger;
}

const retryMs = 1_000;

/** Compares the stream with the database after each connect to either of them, and retries every second until it succeeds. */
export class StreamComparison {
  readonly #options: StreamComparisonOptions;
  #isDue = false;
  #isRunning = false;
  readonly #end = new AbortController();

  constructor(options: StreamComparisonOptions) {
    this.#options = options;
  }

  /** Call it after each connect. */
  start(): void {
    this.#isDue = true;
    if (!this.#isRunning) void this.#run();
  }

  close(): void {
    this.#end.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#end;
    const { pubsub, log } = this.#options;
    this.#isRunning = true;
    // Without a connection there is nothing to do: the next connect calls `start`.
    while (this.#isDue && pubsub.isConnected && !signal.aborted) {
      // Reset first: a connect during the comparison needs another one.
      this.#isDue = false;
      try {
        await compareWithStream(this.#options);
      } catch (error) {
        this.#isDue = true;
        log.debug({ err: error }, 'The stream could not be compared with the database; retrying');
        await delay(retryMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
    this.#isRunning = false;
  }
}

/**
 * Entries are published only after their commit. So if the stream has an entry that the database lacks, the database was
 * restored to an earlier state, and a new epoch begins. Rejects if the stream or the database cannot be read now.
 */
async function compareWithStream({ pubsub, store, epochs, seal }: StreamComparisonOptions): Promise<void> {
  const bodies = await pubsub.newest(messagesStream, entriesCompared);
  // Any query makes the epoch and the seal's key known, in case this is the first one.
  await store.readBacklog();
  const entries = bodies.filter((body) => seal.isOn(body)).flatMap(toEntries);
  for (const { epoch } of entries) epochs.note(epoch);
  for (const entry of entries) {
    // A single missing entry begins the new epoch.
    if (entry.epoch === epochs.present) await store.doubtEpoch(toEvidence(entry));
  }
}

function toEntries(body: Uint8Array): LogEntry[] {
  try {
    const entry = decodeEntry(body);
    return entry.kind === 'reference' ? [] : [entry];
  } catch {
    return []; // published by a release with another format
  }
}
