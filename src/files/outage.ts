import type { Logger } from 'pino';
import { ChatError } from '../domain/errors.js';

/** The error for everybody who needs the storage now. An error that is one for clients already stays as it is. */
export function unavailable(cause: unknown): ChatError {
  if (cause instanceof ChatError) return cause;
  return new ChatError('UNAVAILABLE', 'The storage of files is not available at the moment', { cause });
}

/** Logs the first failure of the storage, and the first success after it. */
export class OutageLog {
  readonly #log: Logger;
  #isAway = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  get isAway(): boolean {
    return this.#isAway;
  }

  noteFailure(error: unknown): void {
    if (!this.#isAway) this.#log.warn({ err: error }, 'The storage of files is not available');
    this.#isAway = true;
  }

  noteSuccess(): void {
    if (this.#isAway) this.#log.info('The storage of files is available again');
    this.#isAway = false;
  }
}
