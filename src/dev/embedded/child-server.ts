import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isAlive } from './process-identity.js';

/** The signals that stop a server, the gentlest first, each with the time to wait for the server's end. */
export type StopPlan = readonly (readonly [signal: NodeJS.Signals, waitMs: number])[];

interface ChildServerOptions {
  readonly name: string;
  readonly spawn: () => ChildProcess;
  /** Resolves once the server is ready; rejects if it ends or does not become ready. */
  readonly waitUntilReady: (child: ChildProcess) => Promise<void>;
  readonly stopPlan: StopPlan;
  /** The signal that ends it immediately without losing acknowledged data. */
  readonly killSignal: NodeJS.Signals;
  readonly log: Logger;
}

const firstBackoffMs = 100;
const maxBackoffMs = 5_000;

/** A server that runs as a child process and is restarted when it ends unexpectedly. */
export class ChildServer {
  #child: ChildProcess | undefined;
  #ended = false;
  #restarting: Promise<void> | undefined;
  readonly #options: ChildServerOptions;
  readonly #wake = new AbortController();

  /** Resolves once the server is ready; after a failure no process is left running. */
  static async start(options: ChildServerOptions): Promise<ChildServer> {
    const server = new ChildServer(options);
    await server.#launch();
    return server;
  }

  private constructor(options: ChildServerOptions) {
    this.#options = options;
    process.once('exit', this.killNow);
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  /** Resolves once the server has ended; it is not restarted. */
  async stop(): Promise<void> {
    this.#end();
    await this.#restarting;
    if (this.#child !== undefined) await stopChild(this.#child, this.#options.stopPlan);
    process.off('exit', this.killNow);
  }

  /** Ends the server with this signal, without waiting for a clean stop; it is not restarted. */
  async kill(signal: NodeJS.Signals = this.#options.killSignal): Promise<void> {
    this.#end();
    await this.#restarting;
    if (this.#child !== undefined) await stopChild(this.#child, [[signal, 10_000]]);
    process.off('exit', this.killNow);
  }

  /** Sends the signal without waiting, for a process that is exiting. */
  readonly killNow = (): void => {
    this.#end();
    if (this.#child !== undefined && !hasEnded(this.#child)) this.#child.kill(this.#options.killSignal);
  };

  #end(): void {
    this.#ended = true;
    this.#wake.abort();
  }

  async #launch(): Promise<void> {
    const { spawn, waitUntilReady, stopPlan, name } = this.#options;
    const child = spawn();
    this.#child = child;
    child.on('error', () => undefined); // the program is missing: the wait for readiness reports it
    try {
      await waitUntilReady(child);
      if (hasEnded(child)) throw new Error(`${name} ended right after its start`);
    } catch (error) {
      await stopChild(child, stopPlan);
      throw error;
    }
    child.once('exit', (code, signal) => this.#onExit(code, signal));
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#ended || this.#restarting !== undefined) return;
    const { log, name } = this.#options;
    log.warn({ code, signal }, `${name} ended unexpectedly and is being started again`);
    this.#restarting = this.#restart().finally(() => {
      this.#restarting = undefined;
    });
  }

  async #restart(): Promise<void> {
    const { log, name } = this.#options;
    for (let backoffMs = firstBackoffMs; !this.#ended; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
      await delay(backoffMs, undefined, { signal: this.#wake.signal }).catch(() => undefined);
      if (this.#ended) return;
      try {
        await this.#launch();
        log.info(`${name} is back`);
        return;
      } catch (error) {
        log.error({ err: error }, `${name} could not be started again`);
      }
    }
  }
}

/** Sends the plan's signals in order until the child has ended. */
export async function stopChild(child: ChildProcess, plan: StopPlan): Promise<void> {
  for (const [signal, waitMs] of plan) {
    if (hasEnded(child)) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const timeout = new AbortController();
    await Promise.race([exited, delay(waitMs, undefined, { signal: timeout.signal })]);
    timeout.abort();
  }
}

/** The same for a process that is not a child of this one. */
export async function stopForeignProcess(pid: number, plan: StopPlan): Promise<void> {
  for (const [signal, waitMs] of plan) {
    if (!isAlive(pid)) return;
    process.kill(pid, signal);
    const deadline = performance.now() + waitMs;
    while (isAlive(pid) && performance.now() < deadline) await delay(20);
  }
}

/** Whether the child has ended or never started. */
export const hasEnded = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
