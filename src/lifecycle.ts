import type { Logger } from 'pino';

/** A part that was started and has to be stopped. */
interface Part {
  readonly name: string;
  readonly stop: () => Promise<void>;
  /** Ends the part immediately, for an exit that cannot wait. */
  readonly killNow?: () => void;
}

/** Thrown by a step of the start when a signal interrupts it. The parts that were started are being stopped. */
export class StartInterruptedError extends Error {
  override readonly name = 'StartInterruptedError';
}

const stopTimeoutMs = 15_000;
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Controls the process from start to end. A signal, the end of the parent process or an uncaught error stops the parts in
 * reverse order. A second signal, or 15 s, ends the process at once. No part is left running in any case.
 */
export class Lifecycle {
  readonly #parts: Part[] = [];
  readonly #log: Logger;
  #startStep: Promise<unknown> = Promise.resolve();
  readonly #interrupt = new AbortController();
  #stopping = false;
  #hasSignal = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param ignored - signals that stop nothing here, because another process gets them as well */
  listen({ ignored = [] }: { readonly ignored?: readonly NodeJS.Signals[] } = {}): void {
    for (const signal of stopSignals) {
      process.on(signal, () => {
        if (!ignored.includes(signal)) this.#onSignal(signal);
      });
    }
    // The parent process that opened the channel has ended, so it cannot send a signal any more.
    process.on('disconnect', () => void this.stop(0));
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, (error: unknown) => {
        this.#log.fatal({ err: error }, 'Unhandled error; stopping');
        void this.stop(1);
      });
    }
  }

  /**
   * Runs one step of the start. A stop waits for the running step, so that the part it starts is stopped as well. A step that
   * waits for another process ends when its `signal` aborts.
   * @throws {StartInterruptedError} if the process is stopping
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

  /** The step that started the part calls this before it ends. */
  onStop(part: Part): void {
    this.#parts.unshift(part);
  }

  /** Stops all parts and ends the process with this code. Further calls are ignored. */
  async stop(code: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    setTimeout(() => {
      this.#log.error('Stopping takes too long; exiting');
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
    if (this.#hasSignal) this.#exitNow(signal === 'SIGINT' ? 130 : 143);
    this.#hasSignal = true;
    // systemd sends the signal to all processes, and the order of the primary process may overtake it.
    if (this.#stopping) return;
    this.#log.info({ signal }, 'Stopping');
    void this.stop(0);
  }

  #exitNow(code: number): never {
    for (const { killNow } of this.#parts) killNow?.();
    process.exit(code);
  }
}
