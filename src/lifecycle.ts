import type { Logger } from 'pino';

/** Something that was started and has to be stopped. */
interface Part {
  readonly name: string;
  readonly stop: () => Promise<void>;
  /** Ends it this moment, for an exit that cannot wait. */
  readonly killNow?: () => void;
}

/** Thrown by a step of the start that was interrupted by a signal; what was started is being stopped. */
export class StartInterruptedError extends Error {
  override readonly name = 'StartInterruptedError';
}

const stopTimeoutMs = 15_000;
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * The process from its start to its end. A signal, the end of the parent or an uncaught error stops the parts in reverse
 * order; a second signal, or 15 s, cut that short. Whichever way it ends, no part is left running.
 */
export class Lifecycle {
  readonly #parts: Part[] = [];
  readonly #log: Logger;
  #startStep: Promise<unknown> = Promise.resolve();
  readonly #interrupt = new AbortController();
  #stopping = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  listen(): void {
    for (const signal of stopSignals) process.on(signal, () => this.#onSignal(signal));
    // Whoever started this process with a channel is gone, and with it the one who would have sent the signal.
    process.on('disconnect', () => void this.stop(0));
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, (error: unknown) => {
        this.#log.fatal({ err: error }, 'An error that nobody handled; stopping');
        void this.stop(1);
      });
    }
  }

  /**
   * Runs one step of the start. A stop waits for the step that is under way, so that what it starts is stopped as well; a
   * step that waits for somebody else ends with the signal that it is given.
   * @throws {StartInterruptedError} if the process is to stop by then
   */
  async startStep<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#stopping) throw new StartInterruptedError();
    const step = run(this.#interrupt.signal);
    this.#startStep = step;
    try {
      return await step;
    } catch (error) {
      throw this.#interrupt.signal.aborted ? new StartInterruptedError() : error;
    }
  }

  /** To be called by the step that started the part, before it ends. */
  onStop(part: Part): void {
    this.#parts.unshift(part);
  }

  /** Stops everything and ends the process with that code; only the first call counts. */
  async stop(code: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    setTimeout(() => {
      this.#log.error('Stopping takes too long; ending at once');
      this.#exitNow(1);
    }, stopTimeoutMs).unref();

    this.#interrupt.abort();
    await this.#startStep.catch(() => undefined);
    for (const { name, stop } of this.#parts) {
      await stop().catch((error: unknown) => this.#log.error({ err: error }, `Stopping ${name} failed`));
    }
    process.exit(code);
  }

  #onSignal(signal: NodeJS.Signals): void {
    if (this.#stopping) this.#exitNow(signal === 'SIGINT' ? 130 : 143);
    this.#log.info({ signal }, 'Stopping');
    void this.stop(0);
  }

  #exitNow(code: number): never {
    for (const { killNow } of this.#parts) killNow?.();
    process.exit(code);
  }
}
