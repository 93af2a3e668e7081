import cluster from 'node:cluster';
import type { Registry } from 'prom-client';
import { ChatError } from '../domain/errors.js';
import type { Assignment, ToPrimary, ToWorker } from './messages.js';

interface Reader {
  readonly resolve: (text: string) => void;
  readonly reject: (error: ChatError) => void;
}

/** The connection of a worker to the primary process. */
export class PrimaryLink {
  /** Resolves with what this worker has to serve. */
  readonly assignment: Promise<Assignment>;
  #assign: (assignment: Assignment) => void = ignore;
  #serve: () => void = ignore;
  #stop: () => void = ignore;
  #mustStop = false;
  #registry: Registry | undefined;
  /** Wait for the sum of the metrics. */
  #readers: Reader[] = [];

  constructor() {
    process.on('message', (message: ToWorker) => this.#take(message));
    this.assignment = new Promise((resolve) => {
      this.#assign = resolve;
    });
    void this.send({ type: 'waiting' });
  }

  /** Calls `stop` when the primary process wants this worker to stop. From now on its end does not end this process. */
  onStop(stop: () => void): void {
    this.#stop = stop;
    if (this.#mustStop) stop();
    // Otherwise Node would end this process at once, without the chance to stop in order.
    if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
  }

  /** Reports that this worker is prepared. Resolves once all are; rejects when the signal aborts. */
  async waitForAll(signal: AbortSignal): Promise<void> {
    const allPrepared = new Promise<void>((resolve, reject) => {
      this.#serve = resolve;
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    await Promise.all([allPrepared, this.send({ type: 'prepared' })]);
  }

  /** Reports the metrics when the primary process adds them up. Returns a function that reads the sum. */
  shareMetrics(registry: Registry): () => Promise<string> {
    this.#registry = registry;
    return () => this.#readSum();
  }

  /** Resolves once it is sent. */
  send(message: ToPrimary): Promise<void> {
    // A primary process that is gone is noticed by the end of the channel.
    return new Promise((resolve) => process.send?.(message, undefined, {}, () => resolve()));
  }

  #take(message: ToWorker): void {
    if (message.type === 'prepare') this.#assign(message);
    else if (message.type === 'serve') this.#serve();
    else if (message.type === 'stop') {
      this.#mustStop = true;
      this.#stop();
    } else if (message.type === 'ping') void this.send({ type: 'pong' });
    else if (message.type === 'read-metrics') void this.#report();
    else if (message.type === 'metrics-sum') this.#endReading(message.text);
  }

  async #report(): Promise<void> {
    await this.send({ type: 'metrics', metrics: (await this.#registry?.getMetricsAsJSON()) ?? [] });
  }

  #readSum(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      if (this.#readers.length === 1) void this.send({ type: 'sum-metrics' });
    });
  }

  #endReading(text: string | undefined): void {
    for (const { resolve, reject } of this.#readers.splice(0)) {
      if (text !== undefined) resolve(text);
      else reject(new ChatError('UNAVAILABLE', 'A worker did not report its metrics in time'));
    }
  }
}

const ignore = (): void => undefined;
