import { setTimeout as delay } from 'node:timers/promises';
import { AggregatorRegistry, type Registry } from 'prom-client';
import type { ProcessMetrics } from './messages.js';
import type { WorkerProcess } from './worker-process.js';

export interface MetricsSumOptions {
  /** The metrics of this process. */
  readonly own: Registry;
  readonly workers: () => readonly WorkerProcess[];
}

const timeoutMs = 5_000;
const growing = ['counter', 'histogram'];

/** Adds up the metrics of all workers. Counters never shrink: those of a worker that has ended stay in the sum. */
export class MetricsSum {
  readonly #options: MetricsSumOptions;
  /** What each living worker answered last. */
  readonly #last = new Map<WorkerProcess, ProcessMetrics>();
  /** The counters of workers that have ended, added up with each reading. */
  #ended: ProcessMetrics[] = [];
  #reading: Promise<string> | undefined;

  constructor(options: MetricsSumOptions) {
    this.#options = options;
  }

  /** In the format of Prometheus. Readers at the same time share one answer. Rejects if a worker does not answer within 5 s. */
  read(): Promise<string> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Keeps the counters that the worker reported last. Call it when the worker has ended. */
  retire(worker: WorkerProcess): void {
    const last = this.#last.get(worker) ?? [];
    this.#last.delete(worker);
    this.#ended.push(last.filter(({ type }) => growing.includes(String(type))));
  }

  async #read(): Promise<string> {
    const { own, workers } = this.#options;
    const answers = Promise.all(workers().map((worker) => this.#ask(worker)));
    const isLate = await Promise.race([answers.then(() => false), delay(timeoutMs, true, { ref: false })]);
    if (isLate) throw new Error('A worker did not report its metrics in time');
    const ofPool = await own.getMetricsAsJSON();
    const ended = this.#ended.splice(0);
    const sumOfEnded = await AggregatorRegistry.aggregate(ended).getMetricsAsJSON();
    this.#ended.push(sumOfEnded);
    return AggregatorRegistry.aggregate([ofPool, ...this.#last.values(), ...this.#ended]).metrics();
  }

  async #ask(worker: WorkerProcess): Promise<void> {
    const metrics = await worker.readMetrics();
    if (metrics !== undefined) this.#last.set(worker, metrics);
  }
}
