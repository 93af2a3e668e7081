import type { Logger } from 'pino';
import type { Backlog } from '../../../domain/room-log.js';

/** Committed entries normally reach the stream within milliseconds, and within a few seconds after a loss. */
const behindAfterMs = 10_000;
/** Old entries that are gone this many looks later were only waiting for a sweep: those of a demo, or of a time without NATS. */
const looks = 3;

/** Watches the entries that the stream lacks, and logs one line when they are too old and one when the stream has caught up. */
export class BacklogWatch {
  readonly #log: Logger;
  #backlog: Backlog = { entries: 0, oldestMs: 0 };
  #isBehind = false;
  #oldLooks = 0;
  #refusal: string | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  get backlog(): Backlog {
    return this.#backlog;
  }

  /** Whether entries have waited for longer than a sweep needs, although NATS is connected. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Notes why the stream refused an entry; the log line contains the last reason, if there is one since it had everything. */
  noteRefusal(error: unknown): void {
    this.#refusal = String(error);
  }

  /** Keeps `isBehind` while NATS is disconnected: nothing can be published then, which is logged elsewhere. */
  note(backlog: Backlog, isConnected: boolean): void {
    this.#backlog = backlog;
    if (backlog.entries === 0) this.#refusal = undefined;
    if (isConnected) this.#oldLooks = backlog.oldestMs > behindAfterMs ? this.#oldLooks + 1 : 0;
    const isBehind = isConnected ? this.#oldLooks >= looks : this.#isBehind;
    if (isBehind === this.#isBehind) return;
    this.#isBehind = isBehind;
    if (isBehind) {
      this.#log.warn(
        { ...backlog, oldestMs: Math.round(backlog.oldestMs), reason: this.#refusal },
        'CHAT_MESSAGES does not take what is committed; it is published as soon as it does',
      );
    } else {
      this.#refusal = undefined;
      this.#log.info('CHAT_MESSAGES has everything again');
    }
  }
}
