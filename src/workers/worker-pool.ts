import type { Logger } from 'pino';
import type { CompleteConfig } from '../config.js';
import { every, type Loop } from '../domain/every.js';
import { MetricsSum } from './metrics-sum.js';
import { createPoolMetrics } from './pool-metrics.js';
import { WorkerProcess } from './worker-process.js';

/** A worker cannot start; the message is for the operator. */
export class WorkerStartError extends Error {
  override readonly name = 'WorkerStartError';
}

export interface WorkerPoolOptions {
  readonly config: CompleteConfig;
  readonly log: Logger;
  /** Called when no worker is left and a new one cannot start. */
  readonly onLost: (error: WorkerStartError) => void;
}

/** The place of a worker, and of those that replace it. */
interface Seat {
  readonly number: number;
  worker: WorkerProcess | undefined;
  /** How many workers have ended here one after the other, each after a short life. */
  deaths: number;
  timer?: NodeJS.Timeout;
}

/** A worker whose event loop has stood still for 20 to 25 s is killed: a probe of health would be answered by the others. */
const pingEveryMs = 5_000;
const maxMissedPings = 4;
const longLifeMs = 60_000;
const firstPauseMs = 100;
const maxPauseMs = 30_000;

/**
 * The workers of this process: each is an instance, and they share one port. A worker that ends is replaced at once, and with
 * pauses of 0.1 to 30 s if its successors end soon, too. A worker that hangs is killed.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #seats: readonly Seat[];
  readonly #sum: MetricsSum;
  #pinging: Loop | undefined;
  #replaced = 0;
  #isComplete = false;
  #isStopping = false;
  #onComplete: (port: number) => void = ignore;
  #onFailure: (error: WorkerStartError) => void = ignore;

  constructor(options: WorkerPoolOptions) {
    const { workers } = options.config;
    this.#options = options;
    this.#seats = Array.from({ length: workers }, (_, at) => ({ number: at + 1, worker: undefined, deaths: 0 }));
    const own = createPoolMetrics({ serving: () => this.#serving.length, replaced: () => this.#replaced });
    this.#sum = new MetricsSum({ own, workers: () => this.#serving });
  }

  /**
   * Resolves with the port once all workers serve. Rejects when the signal aborts.
   * @throws {WorkerStartError} if one of them cannot start
   */
  start(signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#onComplete = resolve;
      this.#onFailure = reject;
      signal.addEventListener('abort', () => reject(signal.reason));
      for (const seat of this.#seats) this.#fork(seat);
      this.#pinging = every(pingEveryMs, () => this.#ping());
    });
  }

  /** Stops all workers in order, at the same time. Resolves once they have ended. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    void this.#pinging?.stop();
    for (const { timer } of this.#seats) clearTimeout(timer);
    const workers = this.#alive;
    for (const worker of workers) worker.stop();
    await Promise.all(workers.map(({ ended }) => ended));
  }

  /** Ends the workers without waiting, for a process that is exiting. */
  killNow(): void {
    for (const worker of this.#alive) worker.kill();
  }

  get #alive(): readonly WorkerProcess[] {
    return this.#seats.flatMap(({ worker }) => worker ?? []);
  }

  get #serving(): readonly WorkerProcess[] {
    return this.#alive.filter(({ isServing }) => isServing);
  }

  /** With PORT=0 the first worker chooses a port, which is kept while any worker lives. */
  #fork(seat: Seat): void {
    const worker: WorkerProcess = new WorkerProcess(
      { number: seat.number, config: this.#options.config },
      {
        onPrepared: () => this.#admit(worker),
        onReady: (port) => this.#welcome(port),
        onEnd: (end) => this.#note(seat, worker, end),
        onSumWanted: () => void this.#sendSum(worker),
      },
    );
    seat.worker = worker;
  }

  /**
   * At the start, the workers begin to accept connections together: otherwise the first one would get all clients that wait
   * for the end of a restart, and keep them for hours.
   */
  #admit(worker: WorkerProcess): void {
    const prepared = this.#isComplete ? [worker] : this.#alive.filter(({ isPrepared }) => isPrepared);
    if (!this.#isComplete && prepared.length < this.#seats.length) return;
    for (const each of prepared) each.send({ type: 'serve' });
  }

  #welcome(port: number): void {
    if (this.#isComplete || this.#serving.length < this.#seats.length) return;
    this.#isComplete = true;
    this.#onComplete(port);
  }

  #note(seat: Seat, worker: WorkerProcess, { reason, hasServed }: { reason: string; hasServed: boolean }): void {
    seat.worker = undefined;
    this.#sum.retire(worker);
    if (this.#isStopping) return;
    const error = new WorkerStartError(reason);
    if (!this.#isComplete) this.#onFailure(error);
    else if (!hasServed && this.#alive.length === 0) this.#options.onLost(error);
    else this.#replace(seat, worker, reason);
  }

  #replace(seat: Seat, { startedAt, pid }: WorkerProcess, reason: string): void {
    seat.deaths = performance.now() - startedAt > longLifeMs ? 1 : seat.deaths + 1;
    const pauseMs = seat.deaths === 1 ? 0 : Math.min(firstPauseMs * 2 ** (seat.deaths - 2), maxPauseMs);
    this.#options.log.error({ worker: seat.number, workerPid: pid, reason, pauseMs }, 'A worker is being replaced');
    this.#replaced += 1;
    seat.timer = setTimeout(() => this.#fork(seat), pauseMs);
  }

  #ping(): void {
    for (const worker of this.#serving) {
      if (worker.missedPings < maxMissedPings) worker.ping();
      else {
        this.#options.log.error({ worker: worker.number, workerPid: worker.pid }, 'A worker hangs and is being killed');
        worker.kill();
      }
    }
  }

  async #sendSum(worker: WorkerProcess): Promise<void> {
    const text = await this.#sum.read().catch(() => undefined);
    worker.send({ type: 'metrics-sum', text });
  }
}

const ignore = (): void => undefined;
