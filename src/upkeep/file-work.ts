import type { Logger } from 'pino';
import type { SweepResult } from '../db/file-sweeps.js';
import { every, type Loop } from '../domain/every.js';
import type { Consumer } from '../pubsub/nats/consumer.js';
import { takeFileWork } from '../pubsub/nats/file-queue.js';
import type { NatsPubSub } from '../pubsub/nats/nats-pub-sub.js';
import type { Deps } from '../resolvers/deps.js';
import { sweepFiles } from '../resolvers/file-sweep.js';
import { queueDueFiles, workOnFile } from '../resolvers/files.js';

const queueMs = 5_000;
/** How often it looks whether the comparison of the hour is done. */
const sweepMs = 60_000;

/**
 * The work on files of all instances: what is due is in the table, a sweep of each instance puts it into the queue, and the queue
 * brings it to one of them.
 */
export class FileWork {
  readonly #queueing: Loop;
  readonly #sweeping: Loop;
  readonly #consumer: Consumer;
  /** What the last comparison of the storage with the rows has found, on any instance; null before the first one. */
  swept: SweepResult | null = null;

  constructor({ deps, pubsub, log }: { readonly deps: Deps; readonly pubsub: NatsPubSub; readonly log: Logger }) {
    this.#consumer = takeFileWork(pubsub, (id) => workOnFile(deps, id), log);
    this.#queueing = every(
      queueMs,
      async () => {
        // While NATS is away nothing would take it from the queue.
        if (!pubsub.isConnected) return;
        await queueDueFiles(deps);
      },
      { atOnce: true, onError: (error) => log.debug({ err: error }, 'The files with work to do could not be read') },
    );
    this.#sweeping = every(
      sweepMs,
      async () => {
        this.swept = await sweepFiles(deps);
      },
      {
        atOnce: true,
        onError: (error) => log.debug({ err: error }, 'The storage could not be compared with the rows'),
      },
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#queueing.stop(), this.#sweeping.stop(), this.#consumer.close()]);
  }
}
