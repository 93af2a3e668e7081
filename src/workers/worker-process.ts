import cluster, { type Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { Assignment, ProcessMetrics, ToPrimary, ToWorker } from './messages.js';

export interface WorkerEvents {
  /** The worker waits for the order to serve. */
  readonly onPrepared: () => void;
  readonly onReady: (port: number) => void;
  /** Called once. The reason is for the operator. */
  readonly onEnd: (end: { readonly reason: string; readonly hasServed: boolean }) => void;
  /** The worker wants the metrics of all workers. */
  readonly onSumWanted: () => void;
}

/** A connection of node:net inside. To close it again does nothing. */
interface Handle {
  close(): void;
}

const workerFile = fileURLToPath(new URL('../worker.js', import.meta.url));

/** The primary process accepts connections and hands them to the workers in turn: see ADR 10. */
cluster.schedulingPolicy = cluster.SCHED_RR;

/** False in a process that another program, such as pm2, has made a worker of its own cluster. */
export const canFork = cluster.isPrimary;

/** A worker as the primary process sees it. */
export class WorkerProcess {
  readonly startedAt = performance.now();
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #assignment: Assignment;
  readonly #events: WorkerEvents;
  #isPrepared = false;
  #isServing = false;
  #isAssigned = false;
  #hasEnded = false;
  #missedPings = 0;
  #failure: string | undefined;
  #onEnded: () => void = ignore;
  /** The request for metrics that is not answered yet. */
  #reading: Promise<ProcessMetrics | undefined> | undefined;
  #answer: (metrics: ProcessMetrics | undefined) => void = ignore;

  /** Starts the process, which inherits the arguments of node and the output of this one. */
  constructor(assignment: Assignment, events: WorkerEvents) {
    this.#assignment = assignment;
    this.#events = events;
    // JSON would lose values such as undefined.
    cluster.setupPrimary({ exec: workerFile, args: [], serialization: 'advanced' });
    this.#worker = cluster.fork();
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
    closeLostConnection(this.#worker);
    this.#worker.on('message', (message: ToPrimary) => this.#take(message));
    this.#worker.once('exit', (code, signal) => this.#end(`A worker has ended with ${code ?? signal}`));
    this.#worker.on('error', (error: Error) => {
      // Otherwise it is about a message to a worker that has just ended.
      if (this.pid === undefined) this.#end(`A worker could not be started: ${error.message}`);
    });
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  get isPrepared(): boolean {
    return this.#isPrepared;
  }

  get isServing(): boolean {
    return this.#isServing;
  }

  get number(): number {
    return this.#assignment.number;
  }

  /** How many pings are unanswered. */
  get missedPings(): number {
    return this.#missedPings;
  }

  ping(): void {
    this.#missedPings += 1;
    this.send({ type: 'ping' });
  }

  /** Does nothing if the worker has ended. */
  send(message: ToWorker): void {
    if (this.#worker.isConnected()) this.#worker.send(message);
  }

  /** Resolves with undefined if the worker ends before it answers. Readers at the same time share one answer. */
  readMetrics(): Promise<ProcessMetrics | undefined> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    this.#reading ??= new Promise((resolve) => {
      this.#answer = resolve;
      this.send({ type: 'read-metrics' });
    });
    return this.#reading;
  }

  /** Stops it in order, or at once if it has not begun to do anything. */
  stop(): void {
    if (this.#isAssigned) this.send({ type: 'stop' });
    else this.kill();
  }

  kill(): void {
    this.#worker.process.kill('SIGKILL');
  }

  #take(message: ToPrimary): void {
    if (message.type === 'waiting') {
      this.#isAssigned = true;
      this.send({ type: 'prepare', ...this.#assignment });
    } else if (message.type === 'prepared') {
      this.#isPrepared = true;
      this.#events.onPrepared();
    } else if (message.type === 'ready') {
      this.#isServing = true;
      this.#events.onReady(message.port);
    } else if (message.type === 'pong') this.#missedPings = 0;
    else if (message.type === 'failed') this.#failure = message.reason;
    else if (message.type === 'metrics') this.#endReading(message.metrics);
    else this.#events.onSumWanted();
  }

  #endReading(metrics: ProcessMetrics | undefined): void {
    this.#reading = undefined;
    this.#answer(metrics);
  }

  #end(reason: string): void {
    const hasServed = this.#isServing;
    this.#isServing = false;
    this.#hasEnded = true;
    this.#endReading(undefined);
    this.#onEnded();
    this.#events.onEnd({ reason: this.#failure ?? reason, hasServed });
  }
}

/**
 * Closes the connection that is being handed to the worker when the worker ends. Node keeps it open, so its client would wait
 * for ever. There is one at most: the next one is handed over when the worker has taken this one, and Node has closed it here.
 */
function closeLostConnection(worker: Worker): void {
  const { process: child } = worker;
  if (child.send === undefined) return; // it was not even started
  const send = child.send.bind(child) as (...args: unknown[]) => boolean;
  let handedOver: Handle | undefined;
  child.send = (message: unknown, handle?: unknown, ...rest: unknown[]) => {
    if (handle !== undefined) handedOver = handle as Handle;
    return send(message, handle, ...rest);
  };
  worker.once('exit', () => handedOver?.close());
}

const ignore = (): void => undefined;
