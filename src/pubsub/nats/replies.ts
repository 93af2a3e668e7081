import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { Seldom } from './seldom.js';

/**
 * Answers to who asks over NATS. Who asks chooses the subject of the answer, and it is published with our permissions, not
 * with theirs: only where inboxes are, or they would speak where they may not.
 */
export class Replies {
  readonly #prefixes: readonly string[];
  readonly #log: Logger;
  readonly #refused = new Seldom();

  constructor(prefixes: readonly string[], log: Logger) {
    this.#prefixes = prefixes;
    this.#log = log;
  }

  /** How many requests wanted their answer somewhere else, and had none. */
  get refusedCount(): number {
    return this.#refused.count;
  }

  /** False where no answer is wanted, and where it is wanted at a place that is no inbox. */
  isWanted({ subject, reply }: Msg): boolean {
    if (reply === undefined || reply === '') return false;
    if (this.#prefixes.some((prefix) => reply.startsWith(prefix))) return true;
    this.#refused.note((times) =>
      this.#log.warn(
        { subject, reply, times },
        'A request is not answered: the subject of its reply begins with none of NATS_REPLY_PREFIXES',
      ),
    );
    return false;
  }

  /** Runs in the client's reader, which anything that is thrown here would end. */
  send(message: Msg, body: Uint8Array | string): void {
    try {
      message.respond(body);
    } catch (error) {
      this.#log.debug({ err: error, subject: message.subject }, 'An answer could not be sent');
    }
  }
}
