import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Instance } from './instance.js';

/** Lets the test look into an instance's memory. */
export const inspectorEnv = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };

/** Looks into the memory of an instance that was started with `inspectorEnv`. */
export class Inspector {
  readonly #socket: WebSocket;
  #calls = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async attach(instance: Instance): Promise<Inspector> {
    const address = /ws:\/\/127\.0\.0\.1:\d+\/\S+/.exec(instance.output())?.[0];
    if (address === undefined) throw new Error('The instance was not started with inspectorEnv');
    const socket = new WebSocket(address);
    await once(socket, 'open');
    return new Inspector(socket);
  }

  /**
   * What the process holds on to, in bytes: heap, buffers and other memory outside of it, behind a full collection. Unlike
   * the resident set it holds neither garbage nor what the allocators keep for later.
   */
  async retainedBytes(): Promise<number> {
    await this.#call('HeapProfiler.collectGarbage');
    const { result } = (await this.#call('Runtime.evaluate', {
      expression: '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())',
    })) as { result: { value: number } };
    return result.value;
  }

  /** Keeps the process from everything else for so long out of every period, for as long as that; resolves at the end. */
  async keepBusy({ busyMs, everyMs, forMs }: { busyMs: number; everyMs: number; forMs: number }): Promise<void> {
    await this.#call('Runtime.evaluate', {
      awaitPromise: true,
      expression: `new Promise((resolve) => {
        const end = performance.now() + ${forMs};
        const timer = setInterval(() => {
          const until = performance.now() + ${busyMs};
          while (performance.now() < until);
          if (until < end) return;
          clearInterval(timer);
          resolve();
        }, ${everyMs});
      })`,
    });
  }

  detach(): void {
    this.#socket.terminate();
  }

  #call(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve) => {
      const listen = (data: unknown) => {
        const message = JSON.parse(String(data)) as { id?: number; result?: unknown };
        if (message.id !== id) return;
        this.#socket.off('message', listen);
        resolve(message.result);
      };
      this.#socket.on('message', listen);
    });
  }
}
