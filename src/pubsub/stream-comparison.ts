import type { Logger } from 'pino';
import type { EpochWatch } from '../domain/epoch.js';
import { type LogEntry, type LogStore, toEvidence } from '../domain/room-log.js';
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

/**
 * Nothing comes to the stream before it is committed: where the stream has an entry that the database lacks, somebody has
 * put the database back, and the logs begin another epoch. To be asked with each connection to either of the two; says
 * nothing where the stream cannot be read now.
 */
export async function compareWithStream({ pubsub, store, epochs, seal, log }: StreamComparisonOptions): Promise<void> {
  try {
    const bodies = await pubsub.newest(messagesStream, entriesCompared);
    // By this the epoch and the seal's key are known also where nothing else has asked the database yet.
    await store.readBacklog();
    const entries = bodies.filter((body) => seal.isOn(body)).flatMap(toEntries);
    for (const { epoch } of entries) epochs.note(epoch);
    for (const entry of entries) {
      // One that is missed is enough.
      if (entry.epoch === epochs.present) await store.doubtEpoch(toEvidence(entry));
    }
  } catch (error) {
    log.debug({ err: error }, 'The stream could not be compared with the database');
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
