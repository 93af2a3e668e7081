import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { Seldom } from './seldom.js';

/**
 * Sends answers to requests. The requester chooses the reply subject, but the answer is published with our permissions. So
 * only inbox subjects are allowed: else a requester could publish to subjects that are forbidden to it.
 */
export class Replies {
  readonly #prefixes: readonly string[];
  readonly #log: Logger;
  readonly #refused = new Seldom();

  constructor(prefixes: readonly string[], log: Logger) {
    this.#prefixes = prefixes;
    this.#log = log;
  }

  /** How many requests were not answered because of a forbidden reply subject. */
  get refusedCount(): number {
    return this.#refused.count;
  }

  /** False if the request has no reply subject, or one that is not allowed. */
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

  /** Never throws: an exception would end the NATS client's reader. */
  send(message: Msg, body: Uint8Array | string): void {
    try {
      message.respond(body);
    } catch (error) {
      this.#log.debug({ err: error, subject: message.subject }, 'An answer could not be sent');
    }
  }
}
