import type { Logger } from 'pino';
import { takeDueFiles } from '../db/attachments.js';
import { every, type Loop } from '../domain/every.js';
import type { Consumer } from '../pubsub/nats/consumer.js';
import { takeFileWork } from '../pubsub/nats/file-queue.js';
import type { NatsPubSub } from '../pubsub/nats/nats-pub-sub.js';
import type { Deps } from './deps.js';
import { requireFiles, workOnFile } from './files.js';

const sweepMs = 5_000;
/** Work that is not done by then is queued again. */
const againMs = 120_000;

/**
 * The work on files of all instances: what is due is in the table, a sweep of each instance puts it into the queue, and the queue
 * brings it to one of them.
 */
export class FileWork {
  readonly #sweep: Loop;
  readonly #consumer: Consumer;

  constructor({ deps, pubsub, log }: { readonly deps: Deps; readonly pubsub: NatsPubSub; readonly log: Logger }) {
    const { queue } = requireFiles(deps);
    this.#consumer = takeFileWork(pubsub, (id) => workOnFile(deps, id), log);
    this.#sweep = every(
      sweepMs,
      async () => {
        // While NATS is away nothing would take it from the queue.
        if (!pubsub.isConnected) return;
        for (const id of await takeDueFiles(deps.db, againMs)) queue.add(id);
      },
      { atOnce: true, onError: (error) => log.debug({ err: error }, 'The files with work to do could not be read') },
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#sweep.stop(), this.#consumer.close()]);
  }
}
