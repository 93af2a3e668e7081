import type { Logger } from 'pino';
import type { Backlog } from '../../../domain/room-log.js';

/** What is committed is normally in the stream within milliseconds, and after a loss within a few seconds. */
const behindAfterMs = 10_000;

/** What the stream has not taken yet, and whether that is too much; told in one line when it begins, one when it ends. */
export class BacklogWatch {
  readonly #log: Logger;
  #backlog: Backlog = { entries: 0, oldestMs: 0 };
  #isBehind = false;
  #refusal = '';

  constructor(log: Logger) {
    this.#log = log;
  }

  get backlog(): Backlog {
    return this.#backlog;
  }

  /** Entries wait for longer than a sweep explains, though the server is there. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Why an entry was not taken; the last reason is told. */
  noteRefusal(error: unknown): void {
    this.#refusal = String(error);
  }

  /** While the server is away nothing can be published, and that is told already. */
  note(backlog: Backlog, isConnected: boolean): void {
    this.#backlog = backlog;
    const isBehind = isConnected ? backlog.oldestMs > behindAfterMs : this.#isBehind;
    if (isBehind === this.#isBehind) return;
    this.#isBehind = isBehind;
    if (isBehind) {
      this.#log.warn(
        { ...backlog, reason: this.#refusal },
        'CHAT_MESSAGES does not take what is committed; it is published as soon as it does',
      );
    } else this.#log.info('CHAT_MESSAGES has everything again');
  }
}
