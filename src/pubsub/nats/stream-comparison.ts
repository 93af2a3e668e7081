import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { EpochWatch } from '../../domain/epoch.js';
import { type LogEntry, type LogStore, toEvidence } from '../../domain/room-log.js';
import { decodeEntry } from './encoding.js';
import type { EntrySeal } from './entry-seal.js';
import type { PubSub } from './pub-sub.js';
import { messagesStream } from './streams.js';

/** The newest are the ones that a database which was put back lacks. */
const entriesCompared = 20;

export interface StreamComparisonOptions {
  readonly pubsub: PubSub;
  readonly store: Pick<LogStore, 'doubtEpoch' | 'readBacklog'>;
  readonly epochs: EpochWatch;
  readonly seal: EntrySeal;
  readonly log: Logger;
}

const retryMs = 1_000;

/** Compares with each connection to either of the two, and again each second until it could be done. */
export class StreamComparison {
  readonly #options: StreamComparisonOptions;
  #isDue = false;
  #isRunning = false;
  readonly #end = new AbortController();

  constructor(options: StreamComparisonOptions) {
    this.#options = options;
  }

  /** To be called with each connection. */
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
    // Without a connection there is nothing to try: the next one calls.
    while (this.#isDue && pubsub.isConnected && !signal.aborted) {
      // Where a connection comes up meanwhile, what was compared may have been before it.
      this.#isDue = false;
      try {
        await compareWithStream(this.#options);
      } catch (error) {
        this.#isDue = true;
        log.debug({ err: error }, 'The stream could not be compared with the database; it is tried again');
        await delay(retryMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
    this.#isRunning = false;
  }
}

/**
 * Nothing comes to the stream before it is committed: where the stream has an entry that the database lacks, somebody has
 * put the database back, and the logs begin another epoch. Rejects where either of the two cannot be read now.
 */
async function compareWithStream({ pubsub, store, epochs, seal }: StreamComparisonOptions): Promise<void> {
  const bodies = await pubsub.newest(messagesStream, entriesCompared);
  // By this the epoch and the seal's key are known also where nothing else has asked the database yet.
  await store.readBacklog();
  const entries = bodies.filter((body) => seal.isOn(body)).flatMap(toEntries);
  for (const { epoch } of entries) epochs.note(epoch);
  for (const entry of entries) {
    // One that is missed is enough.
    if (entry.epoch === epochs.present) await store.doubtEpoch(toEvidence(entry));
  }
}

function toEntries(body: Uint8Array): LogEntry[] {
  try {
    const entry = decodeEntry(body);
    return entry.kind === 'reference' ? [] : [entry];
  } catch {
    return []; // of a release that seals other bodies
  }
}
