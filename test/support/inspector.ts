import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Instance } from './instance.js';

/** Allows an `Inspector` to attach to the instance. */
export const inspectorEnv = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };

/** Inspects an instance that was started with `inspectorEnv`. */
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
   * The memory in use after a full collection, in bytes: the heap, and buffers and other memory outside of it. Unlike the
   * resident set, it includes neither garbage nor memory that the allocators keep for later.
   */
  async retainedBytes(): Promise<number> {
    await this.#call('HeapProfiler.collectGarbage');
    const { result } = (await this.#call('Runtime.evaluate', {
      expression: '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())',
    })) as { result: { value: number } };
    return result.value;
  }

  /** Blocks the event loop for `busyMs` in every `everyMs`, for `forMs` in total or until `calmDown`; resolves at the end. */
  async keepBusy({ busyMs, everyMs, forMs }: { busyMs: number; everyMs: number; forMs: number }): Promise<void> {
    await this.#call('Runtime.evaluate', {
      awaitPromise: true,
      expression: `new Promise((resolve) => {
        const end = performance.now() + ${forMs};
        const timer = setInterval(() => {
          const until = performance.now() + ${busyMs};
          while (performance.now() < until);
          if (until < end && globalThis.isToCalmDown !== true) return;
          clearInterval(timer);
          resolve();
        }, ${everyMs});
      })`,
    });
  }

  async calmDown(): Promise<void> {
    await this.#call('Runtime.evaluate', { expression: 'globalThis.isToCalmDown = true' });
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
